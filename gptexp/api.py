"""The Python interface: load recorded runs as data frames, and run studies from a notebook or a script.

import gptexp

gptexp.run_study("lr-ablation", scale="quick", seeds=3)
runs = gptexp.load_runs()
runs.groupby("label")["final_val_loss"].mean()
curves = gptexp.load_records("steps", studies=["lr-ablation"])
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gptexp.errors import GptexpError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from gptexp.runs.study_runs import StudyRuns

RecordKind = Literal["steps", "evals", "samples", "events"]
KINDS = ("steps", "evals", "samples", "events")
PLACE_COLUMNS = ("study", "scale", "variant", "arm", "label", "seed")


def load_runs(
    runs_dir: str | Path = "runs", *, studies: Sequence[str] | None = None, scales: Sequence[str] | None = None
) -> pd.DataFrame:
    """The recorded runs, one row for each arm and seed of each study.

    Columns: study, scale, variant (overrides as JSON text), arm, label, seed, run_id, outcome, every config field
    (`lr`, `n_layer`, ...), the corpus, every number of the result (`final_val_loss`, `best_val_loss`, ...: nats per
    token) and the provenance (`commit`, `hardware`, ...). Only completed runs have final losses. A run that answers two
    studies has a row in each.

    Args:
        runs_dir: a folder of runs, or of packed records such as those in reports/published.
        studies: names of studies; None takes all.
        scales: names of scales; None takes all.

    Raises:
        GptexpError: there is no such folder, or its packed records are damaged.
    """
    import pandas as pd

    rows = [
        arm.runs.assign(study=study.name, scale=study.scale, variant=study.variant, arm=arm.name, label=arm.label)
        for study in _load_studies(runs_dir, studies, scales)
        for arm in study.arms
    ]
    if not rows:
        return pd.DataFrame(columns=[*PLACE_COLUMNS, "run_id", "outcome"])
    found = pd.concat(rows, ignore_index=True)
    return found[[*PLACE_COLUMNS, *found.columns.drop(list(PLACE_COLUMNS))]]


def load_records(
    kind: RecordKind,
    runs_dir: str | Path = "runs",
    *,
    studies: Sequence[str] | None = None,
    scales: Sequence[str] | None = None,
) -> pd.DataFrame:
    """What runs recorded on their way: one row per step, evaluation, sample or event.

    Columns: study, scale, variant, arm, label, seed, run_id, step, and those of `gptexp.records`: `train_loss`, `lr`,
    `grad_norm` and so on for steps, `val_loss`, `val_bpb` and `whole` for evals.

    Args:
        kind: steps, evals, samples or events.

    Raises:
        GptexpError: another kind, no such folder, or damaged packed records.
    """
    import pandas as pd

    if kind not in KINDS:
        raise GptexpError(f"there are no records of kind {kind!r}{did_you_mean(kind, KINDS)}")
    rows = []
    for study in _load_studies(runs_dir, studies, scales):
        labels = {arm.name: arm.label for arm in study.arms}
        records: pd.DataFrame = getattr(study, kind)
        rows.append(
            records.assign(study=study.name, scale=study.scale, variant=study.variant, label=records["arm"].map(labels))
        )
    if not rows:
        return pd.DataFrame(columns=[*PLACE_COLUMNS, "run_id", "step"])
    found = pd.concat(rows, ignore_index=True)
    return found[[*PLACE_COLUMNS, *found.columns.drop(list(PLACE_COLUMNS))]]


def _load_studies(runs_dir: str | Path, studies: Sequence[str] | None, scales: Sequence[str] | None) -> list[StudyRuns]:
    from gptexp.runs.frames import load_frames
    from gptexp.runs.study_runs import select_studies

    folder = Path(runs_dir)
    if not folder.is_dir():
        raise GptexpError(f"there is no folder {str(folder)!r}; run a study first, or name the folder of its runs")
    return select_studies(load_frames(folder), studies, scales)
