"""The Python interface: load recorded runs as data frames, and run studies from a notebook or a script.

```python
import gptexp

gptexp.run_study("lr-ablation", scale="quick", seeds=3)
runs = gptexp.load_runs()
runs.groupby("label")["final_val_loss"].mean()
curves = gptexp.load_records("steps", studies=["lr-ablation"])
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from gptexp.errors import GptexpError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from gptexp.runs.study_runs import StudyRuns

RecordKind = Literal["steps", "evals", "samples", "events", "metrics"]
KINDS: tuple[RecordKind, ...] = get_args(RecordKind)
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
    rows = [
        arm.runs.assign(study=study.name, scale=study.scale, variant=study.variant, arm=arm.name, label=arm.label)
        for study in _load_studies(runs_dir, studies, scales)
        for arm in study.arms
    ]
    return _join(rows, "outcome")


def load_records(
    kind: RecordKind,
    runs_dir: str | Path = "runs",
    *,
    studies: Sequence[str] | None = None,
    scales: Sequence[str] | None = None,
) -> pd.DataFrame:
    """What runs recorded on their way: one row per step, evaluation, sample, event or metric.

    Columns: study, scale, variant, arm, label, seed, run_id, step, and those of `gptexp.records`: `train_loss`, `lr`,
    `grad_norm` and so on for steps, `val_loss`, `val_bpb` and `whole` for evals.

    Args:
        kind: steps, evals, samples, events or metrics.

    Raises:
        GptexpError: another kind, no such folder, or damaged packed records.
    """
    if kind not in KINDS:
        raise GptexpError(f"there are no records of kind {kind!r}{did_you_mean(kind, KINDS)}")
    rows = []
    for study in _load_studies(runs_dir, studies, scales):
        labels = {arm.name: arm.label for arm in study.arms}
        records: pd.DataFrame = getattr(study, kind)
        rows.append(
            records.assign(study=study.name, scale=study.scale, variant=study.variant, label=records["arm"].map(labels))
        )
    return _join(rows, "step")


def _join(rows: Sequence[pd.DataFrame], last: str) -> pd.DataFrame:
    """The rows under each other, `PLACE_COLUMNS` first; where there are none, those columns, run_id and `last`."""
    import pandas as pd

    if not rows:
        return pd.DataFrame(columns=[*PLACE_COLUMNS, "run_id", last])
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
    arms: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    corpus: str | None = None,
    runs_dir: str | Path = "runs",
    jobs: int | None = None,
    until_step: int | None = None,
    wandb: Literal["online", "offline", "disabled"] = "disabled",
    quiet: bool = False,
) -> pd.DataFrame:
    """Train the arms of a study as `gptexp run` does: runs that are done are not trained again, others go on.

    Returns:
        The rows of `load_runs` for the runs that this asks for. A run that diverged or was stopped is one of them.

    Args:
        study: the name of a study.
        scale: quick, char, laptop or lesson; None takes lesson with a CUDA GPU, else quick.
        seeds: per arm; None takes those of the study.
        arms: names of the arms to train; empty for all.
        overrides: config fields for all arms, for example `{"max_steps": 100}`.
        corpus: a name, a text file or a folder of text; None takes the study's.
        jobs: runs at once; None takes what the machine allows.
        until_step: stop each run after this step and leave it resumable.
        wandb: whether the runs are copied to Weights & Biases.
        quiet: show no progress.

    Raises:
        GptexpError: no such study, scale, arm or field, a value that doesn't fit, or a run that failed.
    """
    from gptexp.cli.console import WIDE, make_console
    from gptexp.cli.live import StudyView
    from gptexp.config import LARGEST
    from gptexp.mirrors.registry import choose_trackers
    from gptexp.names import LAUNCHERS
    from gptexp.studies.checks import MOST_SEEDS, check_count
    from gptexp.studies.plan import count_workers, plan_runs
    from gptexp.studies.request import make_requests
    from gptexp.studies.runner import run_plan

    folder = Path(runs_dir)
    asked = {"seeds": (seeds, MOST_SEEDS), "jobs": (jobs, LARGEST), "until_step": (until_step, LARGEST)}
    for name, (count, most) in asked.items():
        if count is not None:
            check_count(name, count, least=1, most=most)
    (request,) = make_requests([study], scale, seeds, overrides or {}, corpus, arms)
    planned = plan_runs([request], folder, until_step, jobs)
    launcher = LAUNCHERS.find("local")(count_workers(planned, jobs))
    trackers = choose_trackers((), {"wandb_mode": wandb})
    with StudyView(planned, make_console(piped_width=WIDE, quiet=quiet)) as view:
        results = run_plan(planned, launcher, view, command=f"gptexp.run_study({study!r})", trackers=trackers)
    if failed := [result for result in results.values() if result and result.outcome == "failed"]:
        raise GptexpError(f"{len(failed)} of {len(results)} runs failed: {failed[0].outcome_detail}")
    rows = load_runs(folder, studies=[request.study.name], scales=[request.scale.name])
    return rows[rows["run_id"].isin({item.run.run_id for item in planned})].reset_index(drop=True)
