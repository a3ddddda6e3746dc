"""The Python interface: load recorded runs as data frames, and run studies from a notebook or a script.

import gptexp

gptexp.run_study("lr-ablation", scale="quick", seeds=3)
runs = gptexp.load_runs()
runs.groupby("label")["final_val_loss"].mean()
curves = gptexp.load_records("steps", studies=["lr-ablation"])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gptexp.errors import GptexpError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from gptexp.runs.study_runs import StudyRuns
    from gptexp.studies.plan import PlannedRun

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


def run_study(
    study: str,
    *,
    scale: str | None = None,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    corpus: str | None = None,
    runs_dir: str | Path = "runs",
    jobs: int | None = None,
    until_step: int | None = None,
    wandb: Literal["online", "offline", "disabled"] = "disabled",
    quiet: bool = False,
) -> pd.DataFrame:
    """Train the arms of a study, those runs that aren't done yet, and return their rows of `load_runs`.

    STAND-IN: the smallest version that the notebook needs, to be replaced whole by the one that shares its planning
    with the command line.

    Raises:
        GptexpError: no such study, scale or field, a value that doesn't fit, or a run that failed.
    """
    import torch

    from gptexp.machine import count_cores
    from gptexp.studies.launchers import LocalLauncher
    from gptexp.studies.plan import plan_runs
    from gptexp.studies.runner import run_plan
    from gptexp.studies.scales import find_scale
    from gptexp.studies.study import StudyRequest, find_study_file, load_study

    loaded = load_study(study)
    chosen = find_scale(scale or ("lesson" if torch.cuda.is_available() else "quick"))
    file = find_study_file(study)
    request = StudyRequest(loaded, chosen, seeds or loaded.seeds, dict(overrides or {}), corpus, file)
    planned = plan_runs([request], Path(runs_dir), until_step, jobs)
    threads = max(item.run.config.n_threads for item in planned)
    on_cpu = all(item.run.config.device == "cpu" for item in planned)
    workers = jobs or (max(1, count_cores() // threads) if on_cpu else 1)
    view = _StandInView(planned, quiet)
    results = run_plan(planned, LocalLauncher(workers), view, command=f"gptexp.run_study({study!r})", wandb_mode=wandb)
    if failed := [result for result in results.values() if result and result.outcome == "failed"]:
        raise GptexpError(f"{len(failed)} of {len(results)} runs failed: {failed[0].outcome_detail}")
    rows = load_runs(runs_dir, studies=[loaded.name], scales=[chosen.name])
    return rows[rows["run_id"].isin(list(results))].reset_index(drop=True)


class _StandInView:
    """STAND-IN: one line that counts the steps of all runs."""

    def __init__(self, planned: Sequence[PlannedRun], quiet: bool) -> None:
        self._last = {item.run.run_id: item.last_step for item in planned}
        self._done = {item.run.run_id: item.last_step for item in planned if item.is_over}
        self._quiet = quiet

    def on_event(self, run_id: str, event: Any) -> None:
        if step := getattr(event, "step", 0):
            self._done[run_id] = step
            self._draw()

    def on_end(self, run_id: str, result: Any, error: str | None) -> None:
        self._done[run_id] = self._last[run_id]
        self._draw()

    def on_mirrored(self, run_id: str, error: str | None) -> None: ...

    def _draw(self) -> None:
        done, total = sum(self._done.values()), sum(self._last.values())
        if not self._quiet:
            line = f"{len(self._last)} runs: step {done:,} of {total:,}"
            print(f"\r{line}      ", end="" if done < total else "\n", flush=True)
