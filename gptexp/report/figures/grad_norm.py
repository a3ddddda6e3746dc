"""The gradient norm of each arm, its clip threshold, and the steps at which clipping acted."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd

from gptexp.comparisons.summary import describe_stops
from gptexp.measures.curves import pick_evenly, pick_points
from gptexp.report.figures.axes import Axis, make_step_axis
from gptexp.report.figures.bands import FEW_SEEDS
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.legend import DIVERGED, THRESHOLD, Key
from gptexp.report.figures.marks import DOTTED, END, Band, Line, Look, Mark, Words, rule, upright_rule
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import ALERT, MUTED, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns, read_number
from gptexp.wording import count_things, write_count, write_number, write_percent

POINTS = 600
TICKS = 240
"""Marks of clipped steps per panel, about one in two pixels."""


def gradient_norms(study: StudyRuns) -> Drawing | None:
    """One panel per arm on shared axes; None where no finite norm was recorded."""
    norms = study.steps["grad_norm"]
    if not (np.isfinite(norms) & (norms > 0)).any():
        return None
    together = len(study.seeds) > FEW_SEEDS
    tabulate = _summarize if together else _thin
    data = pd.concat([tabulate(study.steps_of(arm), arm.name) for arm in study.arms], ignore_index=True)
    return Drawing(
        name="gradient-norm",
        title="Gradient norm before clipping",
        caption="Global L2 norm of each step's gradient, on a logarithmic axis. The dashed line is the clip threshold; "
        "the ticks above it mark the steps at which clipping shortened the gradient."
        + (" Line: the median of the seeds that got there; band: from the lowest to the highest." if together else ""),
        description=" ".join(_describe_arm(study, arm) for arm in study.arms),
        data=data,
        run_ids=tuple(study.run_ids),
        draw=partial(draw_plot, _plot(study, data)),
    )


def _thin(rows: pd.DataFrame, arm: str) -> pd.DataFrame:
    """arm, seed, run_id, step, grad_norm, clipped: about `POINTS` rows per run, and those that aren't finite.

    Extreme norms are kept before others, so the share of clipped rows is not the share of clipped steps.
    """
    keep = ~(np.isfinite(rows["grad_norm"]) & np.isfinite(rows["train_loss"])).to_numpy()
    norms = rows["grad_norm"].where(rows["grad_norm"] > 0).to_numpy(dtype=float)
    order = []
    for places in rows.groupby("seed").indices.values():
        keep[places[pick_points(norms[places], POINTS)]] = True
        order.append(places[keep[places]])
    shown = rows.iloc[np.concatenate(order)] if order else rows
    return shown[["arm", "seed", "run_id", "step", "grad_norm", "clipped"]]


def _summarize(rows: pd.DataFrame, arm: str) -> pd.DataFrame:
    """The norms of all seeds in at most `POINTS` / 2 stretches of steps: arm, step (the first of a stretch),
    grad_norm_median, grad_norm_lowest, grad_norm_highest, clipped_share, n_seeds.
    """
    finite = rows[np.isfinite(rows["grad_norm"]) & (rows["grad_norm"] > 0)]
    steps = np.unique(finite["step"])
    place = np.searchsorted(steps, finite["step"])
    stretch = place * min(POINTS // 2, len(steps)) // max(len(steps), 1)
    summary: pd.DataFrame = finite.groupby(stretch).agg(
        step=("step", "min"),
        grad_norm_median=("grad_norm", "median"),
        grad_norm_lowest=("grad_norm", "min"),
        grad_norm_highest=("grad_norm", "max"),
        clipped_share=("clipped", "mean"),
        n_seeds=("seed", "nunique"),
    )
    summary.insert(0, "arm", arm)
    return summary


def count_clipped(study: StudyRuns, arm: ArmRuns) -> tuple[int, int]:
    """(clipped steps, all recorded steps) of an arm's runs together."""
    rows = study.steps_of(arm)
    return int(rows["clipped"].sum()), len(rows)


def read_threshold(arm: ArmRuns) -> float:
    """The arm's clip threshold, NaN where clipping is off."""
    return read_number(arm.runs["grad_clip"].iloc[0])


def _describe_arm(study: StudyRuns, arm: ArmRuns) -> str:
    rows = study.steps_of(arm)
    if rows.empty:
        return f"{arm.label}: no step recorded."
    text = f"{arm.label}: median {write_number(rows['grad_norm'].median())}, "
    text += f"largest {write_number(rows['grad_norm'].max())}; {_describe_clipping(study, arm)}."
    outliers = study.outliers[study.outliers["arm"] == arm.name]
    steps = sorted({int(step) for step in outliers["step"]})
    if stops := describe_stops(arm.runs):
        text += f" Stopped as asked, at step {stops}."
    return text + (f" Outlier batch at step {', '.join(f'{step:,}' for step in steps)}." if steps else "")


def _describe_clipping(study: StudyRuns, arm: ArmRuns) -> str:
    threshold = read_threshold(arm)
    if math.isnan(threshold):
        return "clipping off"
    clipped, steps = count_clipped(study, arm)
    share = write_percent(clipped / steps if steps else math.nan)
    of_all = f"{write_count(clipped)} of {count_things(steps, 'step')}"
    return f"clipped at {write_number(threshold, 2)} in {of_all} ({share})"


def _plot(study: StudyRuns, data: pd.DataFrame) -> Plot:
    arms = [arm for arm in study.arms if len(study.steps_of(arm))]
    keys = [THRESHOLD, Key("clipped step", Look(ALERT, dash="none", marker="|", size=9, edge_width=1.4))]
    if any(arm.count_outcome("diverged") for arm in arms):
        keys.append(DIVERGED)
    norms = study.steps["grad_norm"]
    shown = norms[np.isfinite(norms) & (norms > 0)]
    thresholds = [t for t in map(read_threshold, arms) if not math.isnan(t)]
    low, high = min([shown.min(), *thresholds]), max([shown.max(), *thresholds])
    x = make_step_axis(study.steps["step"].max())
    y = Axis(low / 1.25, high * (high / low) ** 0.22 * 1.1, scale="log")
    panels = []
    for arm in arms:
        rows = study.steps_of(arm)
        marks = [*_list_curves(arm, data[data["arm"] == arm.name]), *_list_events(study, arm, rows, x.high)]
        marks += [Line([step], [y.high], END, z=9, overlap=True) for step in _list_ends(rows)]
        panels.append(Panel(marks, x, y, arm.label, f": {_describe_clipping(study, arm)}"))
    height = 96 if len(arms) > 1 else 220
    return Plot(panels, keys, side_label="gradient norm (L2, before clipping)", height=(height, height), gap=36)


def _list_curves(arm: ArmRuns, rows: pd.DataFrame) -> list[Mark]:
    """The norms: of many seeds the median and all of them as a band, of few seeds each."""
    colour = style_arm(arm.index).colour
    if "n_seeds" in rows:
        low, high, middle = (rows[f"grad_norm_{name}"] for name in ("lowest", "highest", "median"))
        return [Band(rows["step"], low, high, colour, 0.22, z=2), Line(rows["step"], middle, Look(colour, 1.4), z=3)]
    look = Look(colour, 1.1, alpha=0.55 if len(arm.run_ids) > 1 else 1)
    shown = rows[np.isfinite(rows["grad_norm"]) & (rows["grad_norm"] > 0)]
    return [Line(run["step"], run["grad_norm"], look, z=3) for _, run in shown.groupby("seed")]


def _list_events(study: StudyRuns, arm: ArmRuns, rows: pd.DataFrame, last: float) -> list[Mark]:
    """The clip threshold, the steps at which clipping acted, and the outlier batches."""
    marks: list[Mark] = []
    threshold = read_threshold(arm)
    if not math.isnan(threshold):
        marks.append(rule(threshold, THRESHOLD.look, z=5))
    steps = np.unique(rows.loc[rows["clipped"], "step"].to_numpy(dtype=float))
    steps = steps[pick_evenly(steps.size, TICKS)]
    tick = Look(ALERT, dash="none", marker="|", size=8, edge_width=1.1)
    marks.append(Line(steps, np.full(steps.size, 0.94), tick, z=4, units="height", overlap=True))
    outliers = study.outliers[study.outliers["arm"] == arm.name]
    for step in sorted(set(outliers["step"])):
        marks.append(upright_rule(step, Look(MUTED, 1, DOTTED)))
        shift, align = (-6, "right") if step > 0.75 * last else (6, "left")
        marks.append(Words(step, 0.66, "outlier batch", (shift, 0), align, colour=MUTED, units="height"))
    return marks


def _list_ends(rows: pd.DataFrame) -> list[float]:
    """Steps at which a run's loss or gradient stopped being finite."""
    bad = rows[~np.isfinite(rows["grad_norm"]) | ~np.isfinite(rows["train_loss"])]
    return [float(step) for step in bad.groupby("seed")["step"].min()]
