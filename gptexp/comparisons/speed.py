"""How fast the arms learn: the area under the val loss curve, and the steps that a common loss takes."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gptexp.comparisons.stats import Interval, area_under_curve, estimate_mean, steps_to_reach
from gptexp.comparisons.texts import have_same_tokens
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.tracking.result import DONE


@dataclass(frozen=True)
class Speed:
    """How fast arms learn, and against what that was measured."""

    frame: pd.DataFrame
    """One row per arm: arm, label, n_runs; area_mean, area_low, area_high (nats per token) over n_area completed runs;
    steps_mean, steps_min, steps_max over n_reached runs that reached the target; last_step."""
    runs: pd.DataFrame
    """One row per run: arm, seed, run_id, outcome, area, steps (NaN: not reached), last_step."""
    target: float
    """The common loss: the lowest val loss that more than half of the arms reach with every seed."""
    first_step: int
    last_step: int
    """The area is taken from here to there."""


def measure_speed(study: StudyRuns) -> Speed | None:
    """Area and steps-to-reach of every arm, from the val losses on the fixed subset; None without two evaluations,
    and of arms on different texts or tokens, which have no loss in common.

    The area is a mean loss over training. It is taken of completed runs, up to the last evaluation that all of them
    have: one that diverged has no area, and is counted.
    """
    if not have_same_tokens(study.arms):
        return None
    curves = _read_curves(study)
    completed = [steps for steps, _, outcome in curves.values() if outcome == "completed" and len(steps) > 1]
    if study.is_untrained or not completed:
        return None
    first = max(steps[0] for steps in completed)
    last = min(steps[-1] for steps in completed)
    target = choose_target(study)
    if last <= first or target is None:
        return None
    rows = []
    for arm in study.arms:
        for run in arm.runs.itertuples(index=False):
            steps, losses, outcome = curves[arm.name, str(run.run_id)]
            within = slice(bisect_left(steps, first), bisect_right(steps, last))
            whole = outcome == "completed" and len(steps[within]) > 1
            area = area_under_curve(steps[within], losses[within]) if whole else math.nan
            reached = steps_to_reach(steps, losses, target)
            needed = math.nan if reached is None else float(reached)
            rows.append([arm.name, run.seed, run.run_id, outcome, area, needed, run.last_step])
    runs = pd.DataFrame(rows, columns=["arm", "seed", "run_id", "outcome", "area", "steps", "last_step"])
    frame = pd.DataFrame([_sum_up(arm, runs[runs["arm"] == arm.name]) for arm in study.arms])
    return Speed(frame, runs, target, first, last)


def choose_target(study: StudyRuns) -> float | None:
    """The lowest val loss that more than half of the arms reach with every seed; None without evaluations.

    Of two arms it is the one at which the worse ends, so that it says how much earlier the better one was there.
    """
    curve = study.val_curve
    # What a run that was stopped on its way has not reached yet says nothing.
    over = study.runs.loc[study.runs["outcome"].isin(DONE), "run_id"]
    trained = curve[(curve["step"] > 0) & np.isfinite(curve["val_loss"]) & curve["run_id"].isin(over)]
    reaches = sorted(rows.groupby("run_id")["val_loss"].min().max() for _, rows in trained.groupby("arm"))
    return float(reaches[len(reaches) // 2]) if reaches else None


def _read_curves(study: StudyRuns) -> dict[tuple[str, str], tuple[list[int], list[float], str]]:
    """(arm, run id) -> the steps of its finite val losses, rising, these losses, and its outcome."""
    evals = study.val_curve
    evals = evals[np.isfinite(evals["val_loss"])].sort_values("step", kind="stable")
    steps, losses = evals["step"].to_numpy(), evals["val_loss"].to_numpy(dtype=float)
    places = evals.groupby(["arm", "run_id"], sort=False).indices
    curves = {key: (steps[rows].tolist(), losses[rows].tolist()) for key, rows in places.items()}
    return {
        (arm.name, str(run_id)): (*curves.get((arm.name, run_id), ([], [])), str(outcome))
        for arm in study.arms
        for run_id, outcome in zip(arm.runs["run_id"], arm.runs["outcome"], strict=True)
    }


def _sum_up(arm: ArmRuns, runs: pd.DataFrame) -> dict[str, object]:
    areas, steps = runs["area"].dropna().tolist(), runs["steps"].dropna().tolist()
    return {
        "arm": arm.name,
        "label": arm.label,
        "n_runs": len(runs),
        **spell_interval("area", areas),
        "n_area": len(areas),
        "steps_mean": sum(steps) / len(steps) if steps else math.nan,
        "steps_min": min(steps, default=math.nan),
        "steps_max": max(steps, default=math.nan),
        "n_reached": len(steps),
        "diverged": arm.count_outcome("diverged"),
        "stopped": arm.count_outcome("stopped"),
        "last_step": runs["last_step"].astype(float).max(),
    }


def spell_interval(name: str, values: list[float]) -> dict[str, float]:
    """`<name>_mean`, `_low` and `_high`: the mean and its interval of 95%, NaN where there is none."""
    found = estimate_mean(values) if values else Interval(math.nan, None, None, 0)
    bounds = {"mean": found.mean, "low": found.low, "high": found.high}
    return {f"{name}_{key}": math.nan if value is None else value for key, value in bounds.items()}
