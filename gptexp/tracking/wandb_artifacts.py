"""What a W&B run holds besides numbers: the table of texts, the corpus by its checksum, the last weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gptexp.files import list_folder
from gptexp.records import SampleRecord
from gptexp.training.checkpoint import list_checkpoints


def make_table(samples: Sequence[SampleRecord]) -> Any:
    """All texts of a run as a `wandb.Table`."""
    import wandb

    columns: list[str | int] = [field.name for field in dataclasses.fields(SampleRecord)]
    return wandb.Table(columns=columns, data=[list(dataclasses.asdict(sample).values()) for sample in samples])


def log_corpus(run: Any, corpus: dict[str, Any]) -> None:
    """Name the corpus by its checksum; no text is sent.

    `use_artifact` would call it an input, but waits for the server, and the rows behind it would be lost in an outage.
    """
    import wandb

    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in corpus["name"])
    artifact = wandb.Artifact(f"corpus-{name}", type="dataset", metadata=corpus)
    artifact.add_reference(f"sha256://{corpus['checksum']}", name=name, checksum=False)
    run.log_artifact(artifact)


def log_checkpoint(run: Any, run_dir: Path) -> None:
    """Store the newest checkpoint of a run folder."""
    import wandb

    folder = list_checkpoints(run_dir / "checkpoints")[0]
    artifact = wandb.Artifact(f"checkpoint-{run_dir.name}", type="model", metadata={"folder": folder.name})
    for entry in list_folder(folder, run_dir):
        if entry.kind == "file":
            artifact.add_file(str(folder / entry.name), name=entry.name, policy="immutable")
    run.log_artifact(artifact)
