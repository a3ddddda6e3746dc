"""What a W&B run holds besides numbers: the table of texts, the corpus by its checksum, the last weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gptexp.errors import GptexpError
from gptexp.files import list_folder
from gptexp.mirrors.wandb_limits import ARTIFACT, VALUE, fit_name, fit_text
from gptexp.records import SampleRecord
from gptexp.training.checkpoint import list_checkpoints


def make_table(samples: Sequence[SampleRecord]) -> Any:
    """All texts of a run as a `wandb.Table`."""
    import wandb

    columns: list[str | int] = [field.name for field in dataclasses.fields(SampleRecord)]
    rows = [list(dataclasses.asdict(sample).values()) for sample in samples]
    cells: list[Any] = [[fit_text(cell, VALUE) if isinstance(cell, str) else cell for cell in row] for row in rows]
    return wandb.Table(columns=columns, data=cells)


def log_corpus(run: Any, corpus: dict[str, Any]) -> None:
    """Name the corpus by its checksum; no text is sent.

    `use_artifact` would call it an input, but waits for the server, and the rows behind it would be lost in an outage.
    """
    import wandb

    name = fit_name(corpus["name"], ARTIFACT - len("corpus-"))
    artifact = wandb.Artifact(f"corpus-{name}", type="dataset", metadata=corpus)
    artifact.add_reference(f"sha256://{corpus['checksum']}", name=name, checksum=False)
    run.log_artifact(artifact)


def log_checkpoint(run: Any, run_dir: Path) -> None:
    """Store the newest checkpoint of a run folder.

    Raises:
        GptexpError: there is none any more.
    """
    import wandb

    folders = list_checkpoints(run_dir / "checkpoints")
    if not folders:
        raise GptexpError("the run folder has none any more")
    folder = folders[0]
    artifact = wandb.Artifact(fit_name(f"checkpoint-{run_dir.name}"), type="model", metadata={"folder": folder.name})
    for entry in list_folder(folder, run_dir):
        if entry.kind == "file":
            artifact.add_file(str(folder / entry.name), name=entry.name, policy="immutable")
    run.log_artifact(artifact)
