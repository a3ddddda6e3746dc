"""The gradient norm of each arm, its clip threshold, and the steps at which clipping acted."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd

from gptexp.comparisons.summary import describe_stops
from gptexp.measures.curves import Floats, pick_evenly, pick_points, thin_curve
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
SUMMARY = ("step", "grad_norm_median", "grad_norm_lowest", "grad_norm_highest", "clipped_share", "n_seeds")
TICKS = 240
"""Marks of clipped steps per panel, about one in two pixels."""


def gradient_norms(study: StudyRuns) -> Drawing | None:
    """One panel per arm on shared axes; None where no finite norm was recorded."""
    norms = study.steps["grad_norm"]
    if not (np.isfinite(norms) & (norms > 0)).any():
        return None
    together = len(study.seeds) > FEW_SEEDS
    bands = {arm.name: _summarize(study.steps_of(arm)) for arm in study.arms} if together else {}
    return Drawing(
        name="gradient-norm",
        title="Gradient norm before clipping",
        caption="Global L2 norm of each step's gradient, on a logarithmic axis. The dashed line is the clip threshold; "
        "the ticks above it mark the steps at which clipping shortened the gradient."
        + (" Line: the median of the seeds that got there; band: from the lowest to the highest." if together else ""),
        description=" ".join(_describe_arm(study, arm) for arm in study.arms),
        data=pd.concat([_tabulate(study, arm, bands.get(arm.name)) for arm in study.arms], ignore_index=True),
        run_ids=tuple(study.run_ids),
        draw=partial(draw_plot, _plot_norms(study, bands)),
    )


def _tabulate(study: StudyRuns, arm: ArmRuns, band: pd.DataFrame | None) -> pd.DataFrame:
    """What is drawn of an arm: arm, seed, run_id, step, grad_norm, clipped, at most about `POINTS` rows per run.

    Args:
        band: the seeds as one: arm, step (the first of a stretch), grad_norm_median, grad_norm_lowest,
            grad_norm_highest, clipped_share, n_seeds. None where they are few.
    """
    if band is not None:
        return band.assign(arm=arm.name)[["arm", *SUMMARY]]
    rows = study.steps_of(arm)
    parts = [_thin_run(run) for _, run in rows.groupby("seed")]
    shown = pd.concat(parts) if parts else rows
    return shown[["arm", "seed", "run_id", "step", "grad_norm", "clipped"]]


def _thin_run(run: pd.DataFrame) -> pd.DataFrame:
    """The drawn steps of a run, and those at which a number wasn't finite. Extremes prevail: `clipped` is no rate."""
    keep = ~(np.isfinite(run["grad_norm"]) & np.isfinite(run["train_loss"])).to_numpy()
    keep[pick_points(_read_positive(run), POINTS)] = True
    shown: pd.DataFrame = run[keep]
    return shown


def _read_positive(run: pd.DataFrame) -> Floats:
    """The norms that a logarithmic axis can show, NaN for the others."""
    return run["grad_norm"].where(run["grad_norm"] > 0).to_numpy(dtype=float)


def _summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """`SUMMARY`: the norms of all seeds in at most `POINTS` / 2 stretches of steps."""
    finite = rows[np.isfinite(rows["grad_norm"]) & (rows["grad_norm"] > 0)]
    steps = np.unique(finite["step"])
    place = np.searchsorted(steps, finite["step"])
    stretch = place * min(POINTS // 2, len(steps)) // max(len(steps), 1)
    groups = finite.groupby(stretch)
    norms = groups["grad_norm"].agg(["median", "min", "max"])
    columns = [groups["step"].min(), *(norms[name] for name in norms), groups["clipped"].mean()]
    columns.append(groups["seed"].nunique())
    return pd.DataFrame(dict(zip(SUMMARY, columns, strict=True))).reset_index(drop=True)


def count_clipped(study: StudyRuns, arm: ArmRuns) -> tuple[int, int]:
    """(clipped steps, all recorded steps) of an arm's runs together."""
    rows = study.steps_of(arm)
    return int(rows["clipped"].sum()), len(rows)


def _read_threshold(arm: ArmRuns) -> float:
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
    threshold = _read_threshold(arm)
    if math.isnan(threshold):
        return "clipping off"
    clipped, steps = count_clipped(study, arm)
    share = write_percent(clipped / steps if steps else math.nan)
    of_all = f"{write_count(clipped)} of {count_things(steps, 'step')}"
    return f"clipped at {write_number(threshold, 2)} in {of_all} ({share})"


def _plot_norms(study: StudyRuns, bands: dict[str, pd.DataFrame]) -> Plot:
    arms = [arm for arm in study.arms if len(study.steps_of(arm))]
    keys = [THRESHOLD, Key("clipped step", Look(ALERT, dash="none", marker="|", size=9, edge_width=1.4))]
    if any(arm.count_outcome("diverged") for arm in arms):
        keys.append(DIVERGED)
    norms = study.steps["grad_norm"]
    shown = norms[np.isfinite(norms) & (norms > 0)]
    thresholds = [t for t in map(_read_threshold, arms) if not math.isnan(t)]
    low, high = min([shown.min(), *thresholds]), max([shown.max(), *thresholds])
    x = make_step_axis(study.steps["step"].max())
    y = Axis(low / 1.25, high * (high / low) ** 0.22 * 1.1, scale="log")
    panels = []
    for arm in arms:
        rows = study.steps_of(arm)
        marks = [*_list_curves(arm, rows, bands.get(arm.name)), *_list_events(study, arm, rows, x.high)]
        marks += [Line([step], [y.high], END, z=9, overlap=True) for step in _list_ends(rows)]
        panels.append(Panel(marks, x, y, arm.label, f": {_describe_clipping(study, arm)}"))
    height = 96 if len(arms) > 1 else 220
    return Plot(panels, keys, side_label="gradient norm (L2, before clipping)", height=(height, height), gap=36)


def _list_curves(arm: ArmRuns, rows: pd.DataFrame, band: pd.DataFrame | None) -> list[Mark]:
    """The norms: of many seeds the median and all of them as a band, of few seeds each."""
    colour = style_arm(arm.index).colour
    if band is not None:
        low, high, middle = (band[f"grad_norm_{name}"] for name in ("lowest", "highest", "median"))
        return [Band(band["step"], low, high, colour, 0.22, z=2), Line(band["step"], middle, Look(colour, 1.4), z=3)]
    look = Look(colour, 1.1, alpha=0.55 if len(arm.run_ids) > 1 else 1)
    runs = [(run["step"].to_numpy(dtype=float), _read_positive(run)) for _, run in rows.groupby("seed")]
    return [Line(*thin_curve(*run, POINTS), look, z=3) for run in runs]


def _list_events(study: StudyRuns, arm: ArmRuns, rows: pd.DataFrame, last: float) -> list[Mark]:
    """The clip threshold, the steps at which clipping acted, and the outlier batches."""
    marks: list[Mark] = []
    threshold = _read_threshold(arm)
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
