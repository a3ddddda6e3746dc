"""One row per arm: what its runs came to, over its seeds."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from gptexp.measures.curves import count_epochs, perplexity
from gptexp.measures.speed import spell_interval
from gptexp.measures.texts import group_by_tokens
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.tracking.result import STOPPED
from gptexp.training.flags import FLAG_RULES

OUTCOMES = ("completed", "diverged", "stopped", "interrupted", "failed", "unfinished")
ENDS = ("final_val_loss", "final_train_loss")
"""Columns of a run that also get an interval over the seeds."""
SPREAD = ("final_val_loss", "final_val_bpb", "final_train_loss", "best_val_loss", "best_val_step", "initial_val_loss")
"""Columns of a run that are summed up as mean, min and max over the completed seeds, or over all where none is."""
MEANS = ("clipped_fraction", "tokens_seen", "epochs", "duration_s", "peak_memory_mib")


def summarize_arms(study: StudyRuns) -> pd.DataFrame:
    """One row per arm, in the order of the study.

    Columns: arm, label, n_runs, one count per outcome and per flag; `<column>_mean`, `_min`, `_max` and `_n` (runs
    that have a finite value) of each of `SPREAD`; `<column>_low` and `_high` (95% interval of the mean over seeds, NaN
    with one) of each of `ENDS`; the means of `MEANS` under their own names; max_grad_norm (highest
    of all seeds), last_step (highest), diverged_steps and stopped_steps (text), perplexity (of the mean final val
    loss), above_best (mean final val loss minus that of the lowest arm on the same text and tokens) and rise (by how
    much the val loss ended above its lowest, on the same windows, mean over seeds). Losses in nats per token; NaN where
    there is nothing.
    """
    curve = study.val_curve
    places = curve.groupby("arm", sort=False).indices
    frame = pd.DataFrame(
        [_summarize_arm(arm) | {"rise": _measure_rise(curve.iloc[places.get(arm.name, [])])} for arm in study.arms]
    )
    frame["perplexity"] = [perplexity(loss) for loss in frame["final_val_loss_mean"]]
    groups = group_by_tokens(study.arms)
    texts = frame["arm"].map({arm.name: place for place, group in enumerate(groups) for arm in group})
    frame["above_best"] = frame["final_val_loss_mean"] - frame.groupby(texts)["final_val_loss_mean"].transform("min")
    # An arm that is alone on its text is held against nobody.
    alone = [arm.name for group in groups if len(group) == 1 < len(groups) for arm in group]
    frame["above_best"] = frame["above_best"].mask(frame["arm"].isin(alone))
    return frame


def _summarize_arm(arm: ArmRuns) -> dict[str, object]:
    runs = arm.runs
    row: dict[str, object] = {"arm": arm.name, "label": arm.label, "n_runs": len(runs)}
    row |= {outcome: arm.count_outcome(outcome) for outcome in OUTCOMES}
    completed = runs[runs["outcome"].eq("completed")]
    for column in SPREAD:
        values = _finite((completed if len(completed) else runs)[column])
        row[f"{column}_mean"] = values.mean() if values.size else math.nan
        row[f"{column}_min"] = values.min() if values.size else math.nan
        row[f"{column}_max"] = values.max() if values.size else math.nan
        row[f"{column}_n"] = values.size
    for column in ENDS:
        bounds = spell_interval(column, _finite(completed[column]).tolist())
        row |= {name: bounds[name] for name in (f"{column}_low", f"{column}_high")}
    epochs = [count_epochs(seen, total) for seen, total in zip(runs["tokens_seen"], runs["train_tokens"], strict=True)]
    measured = runs.assign(epochs=epochs)
    for column in MEANS:
        values = _finite(measured[column])
        row[column] = values.mean() if values.size else math.nan
    row["max_grad_norm"] = runs["max_grad_norm"].max()
    row["last_step"] = runs["last_step"].max()
    for flag in FLAG_RULES:
        row[flag] = sum(flag in str(flags).split(",") for flags in runs["flags"])
    row["stopped_steps"] = describe_stops(runs)
    row["diverged_steps"] = ", ".join(f"{step:.0f}" for step in runs["diverged_step"].dropna())
    return row


def describe_stops(runs: pd.DataFrame) -> str:
    """Where runs were stopped on their way, as they were asked to: `600 of 10,000`; empty where none was."""
    stopped = runs[runs["outcome"].eq(STOPPED)]
    places = sorted({(int(at), int(of)) for at, of in zip(stopped["last_step"], stopped["max_steps"], strict=True)})
    return ", ".join(f"{at:,} of {of:,}" for at, of in places)


def find_common_step(runs: pd.DataFrame) -> int | None:
    """The last step that all runs got to of which some were stopped on their way; None where none was.

    Those that diverged are left out: they end where they end.
    """
    if not runs["outcome"].eq(STOPPED).any():
        return None
    last = runs.loc[~runs["outcome"].eq("diverged"), "last_step"].min()
    return int(last) if last > 0 else None


def _measure_rise(evals: pd.DataFrame) -> float:
    """Last minus lowest val loss of each run, averaged; NaN without evaluations."""
    trained = evals[evals["step"] > 0].sort_values("step", kind="stable")
    losses = trained.groupby("run_id")["val_loss"]
    return float((losses.last() - losses.min()).mean())


def _finite(column: pd.Series) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = column.to_numpy(dtype=np.float64)
    return values[np.isfinite(values)]
