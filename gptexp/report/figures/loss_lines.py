"""The marks of loss curves: noisy ones and their means, evaluations, and where runs ended."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from gptexp.measures.curves import Floats, centred_mean, pick_evenly, thin_curve
from gptexp.report.figures.axes import Axis, Conversion
from gptexp.report.figures.bands import BAND_SEEDS, FEW_SEEDS, average_seeds
from gptexp.report.figures.legend import Key
from gptexp.report.figures.marks import END, STOP, Band, Intervals, Line, Look, Mark, Series, ring_dots, style_line
from gptexp.report.palette import MUTED, ArmStyle
from gptexp.report.units import find_unit
from gptexp.runs.study_runs import StudyRuns
from gptexp.tracking.result import STOPPED

POINTS = 700
"""Drawn points per curve: about one per pixel."""
SMOOTHED = Key("train, smoothed", Look(MUTED))
EACH_STEP = Key("train, each step", Look(MUTED, 0.9, alpha=0.5))


def smooth_train(study: StudyRuns, window: int) -> pd.DataFrame:
    """study.steps with `smoothed`: the mean of each run's train loss over the `window` steps around each."""
    losses = study.steps["train_loss"].to_numpy(dtype=float)
    smoothed = np.empty_like(losses)
    for places in study.steps.groupby(["arm", "seed"], sort=False).indices.values():
        smoothed[places] = centred_mean(losses[places], window)
    return study.steps.assign(smoothed=smoothed)


def trace_noisy(x: Floats, raw: Floats, smoothed: Floats, colour: str, arm: str = "", run: str = "") -> list[Line]:
    """A smoothed curve over its raw one, which is faint."""
    faint, clear = Look(colour, 0.8, alpha=0.28), Look(colour, 2.2)
    return [
        Line(*thin_curve(x, raw, 600), faint, series=Series(arm, "raw", run)),
        Line(*thin_curve(x, smoothed, 300), clear, z=4, series=Series(arm, "train", run)),
    ]


def trace_seeds(curves: pd.DataFrame, style: ArmStyle, arm: str = "") -> list[Mark]:
    """The train loss of an arm.

    Of one seed the raw loss, faint, and its smoothed curve. Of several the mean of their smoothed curves as far as all
    of them go, its interval where there are `BAND_SEEDS`, each of a few seeds that far, and those that go on beyond.

    Args:
        curves: of `smooth_train`, the rows of one arm.
    """
    colour, look = style.colour, style_line(style)
    train = Series(arm, "train", str(curves["run_id"].iloc[0]))
    raw_series = replace(train, role="raw")
    x, smoothed = _read_points(curves, "smoothed")
    if curves["seed"].nunique() == 1:
        raw = thin_curve(x, curves["train_loss"].to_numpy(dtype=float), POINTS)
        middle = thin_curve(x, smoothed, POINTS // 2)
        return [
            Line(*raw, Look(colour, 0.8, alpha=0.28), series=raw_series),
            Line(*middle, look, z=4, series=train),
        ]
    means = average_seeds(curves, "smoothed")
    until = means["step"].max() if len(means) else 0
    means = means.iloc[pick_evenly(len(means), POINTS // 2)]
    marks: list[Mark] = [Line(means["step"], means["mean"], look, z=4, series=train)]
    if has_band := bool(means["low"].notna().any()):
        marks.append(Band(means["step"], means["low"], means["high"], colour, 0.16))
    finite = curves[np.isfinite(curves["smoothed"])]
    seeds = [_read_points(rows, "smoothed") for _, rows in finite.groupby("seed")]
    if len(seeds) <= FEW_SEEDS:
        shown = [thin_curve(x[x <= until], y[x <= until], POINTS // 2) for x, y in seeds]
        seed_look = Look(colour, 0.7, alpha=0.35) if has_band else Look(colour, 0.9, alpha=0.6)
        marks += [Line(*points, seed_look, series=raw_series) for points in shown]
    tails = [(x[x >= until], y[x >= until]) for x, y in seeds if (x >= until).sum() > 1]
    return [*marks, *(Line(*points, replace(look, width=0.9), z=4) for points in tails)]


def mark_evaluations(evals: pd.DataFrame, style: ArmStyle, arm: str = "") -> list[Mark]:
    """Hollow markers: the mean val loss over the seeds with its interval, under `BAND_SEEDS` with a dot for each seed,
    and single ones where not all seeds have one.
    """
    if evals.empty:
        return []
    means = average_seeds(evals, "val_loss")
    rest = evals[~evals["step"].isin(means["step"])]
    together = evals[evals["step"].isin(means["step"])]
    has_few = evals["seed"].nunique() in range(2, BAND_SEEDS)
    spread: Mark = (
        Line(together["step"], together["val_loss"], Look(style.colour, 0, "none", marker="o", size=2.5), z=5)
        if has_few
        else Intervals(means["step"], means["low"], means["high"], style.colour, 1.6, alpha=None, z=5)
    )
    val = Series(arm, "val", str(evals["run_id"].iloc[0]))
    return [
        spread,
        Line(means["step"], means["mean"], ring_dots(style.colour, style.marker, 6.5), z=6, overlap=True, series=val),
        Line(rest["step"], rest["val_loss"], ring_dots(style.colour, style.marker, 4), z=5, series=val),
    ]


def find_end(curves: pd.DataFrame) -> tuple[float, float] | None:
    """The last point of an arm's smoothed curves, of several seeds their mean; None where nothing is finite."""
    finite = curves[np.isfinite(curves["smoothed"])]
    last = finite[finite["step"] == finite["step"].max()]
    return (float(last["step"].iloc[0]), float(last["smoothed"].mean())) if len(last) else None


def _read_points(rows: pd.DataFrame, column: str) -> tuple[Floats, Floats]:
    return rows["step"].to_numpy(dtype=float), rows[column].to_numpy(dtype=float)


def mark_divergences(study: StudyRuns, curves: pd.DataFrame, top: float) -> list[Line]:
    """Where runs diverged: the last recorded step, and the last finite train loss, `top` where there is none."""
    diverged = study.runs.loc[study.runs["outcome"] == "diverged", "run_id"]
    marks = []
    for _, rows in curves[curves["run_id"].isin(diverged)].groupby(["arm", "seed"]):
        ordered = rows.sort_values("step")
        finite = ordered["train_loss"][np.isfinite(ordered["train_loss"])]
        loss = min(float(finite.iloc[-1]), top) if len(finite) else top
        marks.append(Line([float(ordered["step"].iloc[-1])], [loss], END, z=9, overlap=True))
    return marks


def mark_stops(study: StudyRuns, curves: pd.DataFrame, top: float) -> list[Line]:
    """Where runs were stopped on their way. Runs of an arm that got equally far share one mark, on their mean."""
    stopped = study.runs.loc[study.runs["outcome"] == STOPPED, "run_id"]
    finite = curves[curves["run_id"].isin(stopped) & np.isfinite(curves["smoothed"])]
    last = finite.loc[finite.groupby(["arm", "seed"])["step"].idxmax()] if len(finite) else finite
    return [
        Line([float(step)], [min(float(rows["smoothed"].mean()), top)], STOP, z=9, overlap=True)
        for (_, step), rows in last.groupby(["arm", "step"])
    ]


def choose_loss_axis(study: StudyRuns, curves: pd.DataFrame) -> Axis:
    """Limits that a blow-up before a divergence can't stretch until nothing else is seen; it leaves at the top."""
    values = np.concatenate([curves["train_loss"].to_numpy(), study.val_curve["val_loss"].to_numpy()])
    values = values[np.isfinite(values)]
    starts = curves.sort_values("step").groupby("run_id")["train_loss"].first()
    ceiling = 1.5 * float(np.nanmedian(starts.to_numpy()))
    high = min(float(values.max()), ceiling) if math.isfinite(ceiling) else float(values.max())
    low = float(values.min())
    room = 0.04 * max(high - low, 0.1)
    return Axis(low - room, high + room, f"loss ({find_unit(study.runs, 'train').nats})")


def convert_to_epochs(study: StudyRuns) -> Conversion | None:
    """Steps as passes over the corpus; None where runs differ in that, or see less than half of it."""
    runs = study.runs
    per_step = runs["batch_size"] * runs["grad_accum_steps"] * runs["block_size"] / runs["train_tokens"]
    rate = float(per_step.iloc[0])
    same = per_step.nunique(dropna=False) == 1 and math.isfinite(rate)
    return Conversion(rate, "epochs over the corpus") if same and rate * study.max_steps >= 0.5 else None
