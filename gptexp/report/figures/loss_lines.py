"""What a figure of loss curves draws, as numbers: prepared once for all its sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gptexp.measures.curves import Floats, centred_mean, pick_evenly, thin_curve
from gptexp.report.figures.axes import Conversion
from gptexp.report.figures.bands import FEW_SEEDS, average_seeds
from gptexp.report.figures.legend import Key
from gptexp.report.figures.marks import Line, Look
from gptexp.report.palette import MUTED
from gptexp.runs.study_runs import StudyRuns
from gptexp.tracking.result import STOPPED

POINTS = 700
"""Drawn points per curve: about one per pixel."""

SMOOTHED = Key("train, smoothed", Look(MUTED))
EACH_STEP = Key("train, each step", Look(MUTED, 0.9, alpha=0.5))

Points = tuple[Floats, Floats]
"""Steps and losses."""


@dataclass(frozen=True)
class ArmLines:
    """What is drawn of an arm."""

    raw: Points | None
    """The train loss of the steps, thinned; None where there are several seeds."""
    middle: Points
    """The smoothed train loss, of several seeds their mean as far as all of them go."""
    band: Points
    """Lower and upper bound around the mean; empty with one seed."""
    single: list[Points]
    """Each of a few seeds as far as all of them go."""
    tails: list[Points]
    """The seeds that go on beyond."""
    evals: pd.DataFrame
    """`average_seeds` of the val loss."""
    single_evals: Points
    """Val losses at steps that not all seeds have."""
    end: tuple[float, float]
    """The last point of the smoothed curve."""


@dataclass(frozen=True)
class LossLines:
    """What is drawn, at any size."""

    arms: dict[str, ArmLines]
    """By name; without those that have no finite train loss."""
    limits: tuple[float, float]
    ends: list[tuple[float, float]]
    """Where runs diverged."""
    stops: list[tuple[float, float]]
    """The last points of the smoothed curves of runs that were stopped on their way."""


def prepare_lines(study: StudyRuns, curves: pd.DataFrame) -> LossLines:
    """The lines of all arms.

    Args:
        curves: of `smooth_train`.
    """
    evals, arms = study.val_curve, {}
    for arm in study.arms:
        own = curves[curves["arm"] == arm.name]
        if np.isfinite(own["smoothed"]).any():
            arms[arm.name] = _prepare_arm(own, evals[evals["arm"] == arm.name], several=len(arm.run_ids) > 1)
    ends, stops = _find_ends(study, curves), _find_stops(study, curves)
    return LossLines(arms, _choose_limits(study, curves), ends, stops)


def _prepare_arm(curves: pd.DataFrame, evals: pd.DataFrame, *, several: bool) -> ArmLines:
    finite = curves[np.isfinite(curves["smoothed"])]
    last = finite[finite["step"] == finite["step"].max()]
    none = np.empty(0)
    raw, middle, band = None, (none, none), (none, none)
    single: list[Points] = []
    tails: list[Points] = []
    if several:
        means = average_seeds(curves, "smoothed")
        until = means["step"].max() if len(means) else 0
        means = means.iloc[pick_evenly(len(means), POINTS // 2)]
        middle = _read_line(means, "mean")
        band = (means["low"].to_numpy(), means["high"].to_numpy())
        x, y = _read_line(finite, "smoothed")
        seeds = [(x[places], y[places]) for places in finite.groupby("seed").indices.values()]
        if len(seeds) <= FEW_SEEDS:
            single = [thin_curve(x[x <= until], y[x <= until], POINTS // 2) for x, y in seeds]
        tails = [(x[x >= until], y[x >= until]) for x, y in seeds if (x >= until).sum() > 1]
    else:
        raw = thin_curve(*_read_line(curves, "train_loss"), POINTS)
        middle = thin_curve(*_read_line(curves, "smoothed"), POINTS // 2)
    eval_means = average_seeds(evals, "val_loss")
    rest = evals[~evals["step"].isin(eval_means["step"])]
    end = float(last["step"].iloc[0]), float(last["smoothed"].mean())
    return ArmLines(raw, middle, band, single, tails, eval_means, _read_line(rest, "val_loss"), end)


def _read_line(rows: pd.DataFrame, column: str) -> Points:
    return rows["step"].to_numpy(dtype=float), rows[column].to_numpy(dtype=float)


def smooth_train(study: StudyRuns, window: int) -> pd.DataFrame:
    """instance.steps with `smoothed`: the mean of each run's train loss over the `window` steps around each."""
    losses = study.steps["train_loss"].to_numpy(dtype=float)
    smoothed = np.empty_like(losses)
    for places in study.steps.groupby(["arm", "seed"], sort=False).indices.values():
        smoothed[places] = centred_mean(losses[places], window)
    return study.steps.assign(smoothed=smoothed)


def _find_ends(study: StudyRuns, curves: pd.DataFrame) -> list[tuple[float, float]]:
    """Where runs diverged: the last recorded step, and the last finite train loss (infinity where there is none)."""
    diverged = study.runs.loc[study.runs["outcome"] == "diverged", "run_id"]
    ends = []
    for _, rows in curves[curves["run_id"].isin(diverged)].groupby(["arm", "seed"]):
        ordered = rows.sort_values("step")
        finite = ordered["train_loss"][np.isfinite(ordered["train_loss"])]
        ends.append((float(ordered["step"].iloc[-1]), float(finite.iloc[-1]) if len(finite) else math.inf))
    return ends


def _find_stops(study: StudyRuns, curves: pd.DataFrame) -> list[tuple[float, float]]:
    """Where runs were stopped on their way. Runs of an arm that got equally far share one mark, on their mean."""
    stopped = study.runs.loc[study.runs["outcome"] == STOPPED, "run_id"]
    finite = curves[curves["run_id"].isin(stopped) & np.isfinite(curves["smoothed"])]
    last = finite.loc[finite.groupby(["arm", "seed"])["step"].idxmax()] if len(finite) else finite
    return [(float(step), float(rows["smoothed"].mean())) for (_, step), rows in last.groupby(["arm", "step"])]


def _choose_limits(study: StudyRuns, curves: pd.DataFrame) -> tuple[float, float]:
    """Limits that a blow-up before a divergence can't stretch until nothing else is seen; it leaves at the top."""
    values = np.concatenate([curves["train_loss"].to_numpy(), study.val_curve["val_loss"].to_numpy()])
    values = values[np.isfinite(values)]
    starts = curves.sort_values("step").groupby("run_id")["train_loss"].first()
    ceiling = 1.5 * float(np.nanmedian(starts.to_numpy()))
    high = min(float(values.max()), ceiling) if math.isfinite(ceiling) else float(values.max())
    low = float(values.min())
    room = 0.04 * max(high - low, 0.1)
    return low - room, high + room


def convert_to_epochs(study: StudyRuns) -> Conversion | None:
    """Steps as passes over the corpus; None where runs differ in that, or see less than half of it."""
    runs = study.runs
    per_step = runs["batch_size"] * runs["grad_accum_steps"] * runs["block_size"] / runs["train_tokens"]
    rate = float(per_step.iloc[0])
    same = per_step.nunique(dropna=False) == 1 and math.isfinite(rate)
    return Conversion(rate, "epochs over the corpus") if same and rate * study.max_steps >= 0.5 else None


def trace_noisy(x: Floats, raw: Floats, smoothed: Floats, colour: str) -> list[Line]:
    """A smoothed curve over its raw one, which is faint."""
    faint, clear = Look(colour, 0.8, alpha=0.28), Look(colour, 2.2)
    return [Line(*thin_curve(x, raw, 600), faint), Line(*thin_curve(x, smoothed, 300), clear, z=4)]
