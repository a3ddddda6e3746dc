"""One row per arm: what its runs came to, over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gptexp.comparisons.speed import spell_interval
from gptexp.comparisons.texts import group_by_tokens
from gptexp.measures.catalog import MEASURES
from gptexp.measures.curves import Floats
from gptexp.measures.measure import Measure
from gptexp.runs.run_records import RunRecords, list_runs_of
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.tracking.result import STOPPED
from gptexp.training.flags import FLAG_RULES

OUTCOMES = ("completed", "diverged", "stopped", "interrupted", "failed", "unfinished")


def summarize_arms(study: StudyRuns) -> pd.DataFrame:
    """One row per arm, in the order of the study.

    Columns: arm, label, n_runs, one count per outcome and per flag; of every number of the result what its measure's
    `over_seeds` says. interval and spread: `<name>_mean`, `_min`, `_max` and `_n` (runs that have a finite value) over
    the completed seeds, or over all where none is; interval: `_low` and `_high` too (95% interval of the mean over the
    completed seeds, NaN with one). mean and highest: over all seeds, under the name. Then last_step (highest),
    diverged_steps and stopped_steps (text), perplexity (of the mean final val loss), above_best (mean final val loss
    minus that of the lowest arm on the same text and tokens, over the seeds that both have) and rise (the
    mean `val_rise`). Losses in nats per token; NaN where there is nothing.
    """
    frame = pd.DataFrame([_summarize_arm(study, arm) for arm in study.arms])
    frame["perplexity"] = [sum_up(study, arm, MEASURES["perplexity"])["perplexity"] for arm in study.arms]
    groups = group_by_tokens(study.arms)
    above: dict[str, float] = {}
    for group in groups:
        ends = average_shared(group, "final_val_loss").means
        # An arm that is alone on its text is held against nobody.
        is_alone = len(group) == 1 < len(groups)
        above |= {} if is_alone else {name: mean - min(ends.values()) for name, mean in ends.items()}
    frame["above_best"] = frame["arm"].map(above).astype("float64")
    return frame


@dataclass(frozen=True)
class SharedMeans:
    """What arms can be ranked by: means over the same seeds, which are the same batches and initial weights."""

    means: dict[str, float]
    """Arm -> mean. Where the arms share no seed, each is over its own."""
    n_seeds: int
    """The seeds that all of them have."""
    has_others: bool
    """Whether some arm has seeds that another lacks."""


def average_shared(arms: Sequence[ArmRuns], name: str) -> SharedMeans:
    """The mean of a number of `Frames.runs` for each arm that has it, over the seeds that all of these arms have."""
    found = {arm.name: dict(zip(arm.runs["seed"], arm.runs[name].astype(float), strict=True)) for arm in arms}
    finite = {arm: {seed: value for seed, value in own.items() if math.isfinite(value)} for arm, own in found.items()}
    having = {arm: own for arm, own in finite.items() if own}
    shared = set.intersection(*(set(own) for own in having.values())) if having else set()
    means = {arm: float(np.mean([own[seed] for seed in sorted(shared or own)])) for arm, own in having.items()}
    return SharedMeans(means, len(shared), any(set(own) != shared for own in having.values()))


def _summarize_arm(study: StudyRuns, arm: ArmRuns) -> dict[str, object]:
    runs = arm.runs
    row: dict[str, object] = {"arm": arm.name, "label": arm.label, "n_runs": len(runs)}
    row |= {outcome: arm.count_outcome(outcome) for outcome in OUTCOMES}
    summed = [measure for measure in MEASURES.values() if measure.of_result or measure.name == "epochs"]
    # The order of the published tables: what only the end tells comes first, and of that what the whole split does.
    summed.sort(key=lambda measure: (not measure.of_whole_split, measure.known_from is not None))
    spread = [measure for measure in summed if measure.over_seeds in ("interval", "spread")]
    for measure in spread:
        row |= sum_up(study, arm, measure)
    for measure in spread:
        row |= find_ends(study, arm, measure)
    for kind in ("mean", "highest"):
        for measure in summed:
            row |= sum_up(study, arm, measure) if measure.over_seeds == kind else {}
    row |= {flag: sum(flag in str(flags).split(",") for flags in runs["flags"]) for flag in FLAG_RULES}
    row["stopped_steps"] = describe_stops(runs)
    row["diverged_steps"] = ", ".join(f"{step:.0f}" for step in runs["diverged_step"].dropna())
    row["rise"] = sum_up(study, arm, MEASURES["val_rise"])["val_rise_mean"]
    return row


def sum_up(study: StudyRuns, arm: ArmRuns, measure: Measure) -> dict[str, float]:
    """What the runs of an arm come to as they stand: `<name>_mean`, `_min`, `_max` and `_n` of a measure with a spread,
    over the completed seeds, or over all where none is; the number of all seeds under the name of any other.
    """
    runs, name = list_runs_of(study, arm), measure.name
    if measure.over_seeds == "highest":
        # An infinite norm is the highest.
        return {name: max((value for run in runs if not math.isnan(value := measure.of(run))), default=math.nan)}
    if measure.over_seeds not in ("interval", "spread"):
        values = _read_finite(measure, runs)
        return {name: measure.average(values) if values.size else math.nan}
    completed = [run for run in runs if run.outcome == "completed"]
    found = _read_finite(measure, completed or runs)
    ends = (found.mean(), found.min(), found.max()) if found.size else (math.nan,) * 3
    return {**dict(zip((f"{name}_mean", f"{name}_min", f"{name}_max"), ends, strict=True)), f"{name}_n": found.size}


def find_ends(study: StudyRuns, arm: ArmRuns, measure: Measure) -> dict[str, float]:
    """`<name>_low` and `<name>_high`: the 95% interval over the completed seeds; nothing of a measure without one."""
    if measure.over_seeds != "interval":
        return {}
    completed = [run for run in list_runs_of(study, arm) if run.outcome == "completed"]
    bounds = spell_interval(measure.name, _read_finite(measure, completed).tolist())
    return {name: bound for name, bound in bounds.items() if not name.endswith("_mean")}


def _read_finite(measure: Measure, runs: Sequence[RunRecords]) -> Floats:
    """What those runs say of which there is something to say, float64 (n,)."""
    values = np.array([measure.of(run) for run in runs], dtype=np.float64)
    return values[np.isfinite(values)]


def describe_stops(runs: pd.DataFrame) -> str:
    """Where runs were stopped on their way, as they were asked to: `600 of 10,000`; empty where none was."""
    stopped = runs[runs["outcome"].eq(STOPPED)]
    places = sorted({(int(at), int(of)) for at, of in zip(stopped["last_step"], stopped["max_steps"], strict=True)})
    return ", ".join(f"{at:,} of {of:,}" for at, of in places)


def find_common_step(study: StudyRuns) -> int | None:
    """The last step that all runs got to of which some were stopped on their way; None where none was.

    Those that diverged are left out: they end where they end.
    """
    runs = [run for arm in study.arms for run in list_runs_of(study, arm) if run.outcome != "diverged"]
    if all(run.outcome != STOPPED for run in runs):
        return None
    return min(run.last_step for run in runs) or None
