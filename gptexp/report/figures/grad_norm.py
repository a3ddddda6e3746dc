"""The gradient norm of each arm, its clip threshold, and the steps at which clipping acted."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.measures.curves import Floats, pick_evenly, pick_points, thin_curve
from gptexp.measures.summary import describe_stops
from gptexp.report.figures.bands import FEW_SEEDS
from gptexp.report.figures.canvas import (
    Drawing,
    Layout,
    fit_title,
    format_axis,
    format_step_axis,
    mark_end,
    start_panels,
)
from gptexp.report.figures.legend import Key, make_end_key
from gptexp.report.palette import ALERT, INK, MUTED, style_arm
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
        draw=partial(_draw_norms, study, bands),
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


def _draw_norms(study: StudyRuns, bands: dict[str, pd.DataFrame], layout: Layout) -> Figure:
    arms = [arm for arm in study.arms if len(study.steps_of(arm))]
    keys = [
        Key("clip threshold", Line2D([], [], color=INK, lw=1.2, ls=(0, (4, 2)))),
        Key("clipped step", Line2D([], [], color=ALERT, lw=0, ls="none", marker="|", ms=9, mew=1.4)),
    ]
    if any(arm.count_outcome("diverged") for arm in arms):
        keys.append(make_end_key())
    height = 96 if len(arms) > 1 else 220
    figure, axes = start_panels(layout, rows=len(arms), height=height, keys=keys, row_gap=36, top=26)
    norms = study.steps["grad_norm"]
    shown = norms[np.isfinite(norms) & (norms > 0)]
    thresholds = [t for t in map(_read_threshold, arms) if not math.isnan(t)]
    low, high = min([shown.min(), *thresholds]), max([shown.max(), *thresholds])
    for ax, arm in zip(axes, arms, strict=True):
        ax.set_yscale("log")
        ax.set_ylim(low / 1.25, high * (high / low) ** 0.22 * 1.1)
        _draw_panel(ax, study, arm, bands.get(arm.name))
        format_step_axis(ax, study.steps["step"].max())
        format_axis(ax, "y", log=True)
        if ax is not axes[-1]:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
        clipping = "" if layout.name == "narrow" else f": {_describe_clipping(study, arm)}"
        title = fit_title(arm.label, layout, clipping)
        ax.set_title(title, loc="left", color=INK, pad=5)
    middle = (axes[0].get_position().y1 + axes[-1].get_position().y0) / 2
    figure.text(
        13 / layout.width,
        middle,
        "gradient norm (L2, before clipping)",
        rotation=90,
        va="center",
        ha="center",
        color=MUTED,
    )
    return figure


def _draw_panel(ax: Axes, study: StudyRuns, arm: ArmRuns, band: pd.DataFrame | None) -> None:
    style = style_arm(arm.index)
    rows = study.steps_of(arm)
    if band is not None:
        norms = ("grad_norm_lowest", "grad_norm_highest", "grad_norm_median")
        low, high, middle = (band[name] for name in norms)
        ax.fill_between(band["step"], low, high, color=style.colour, alpha=0.22, lw=0, zorder=2)
        ax.plot(band["step"], middle, color=style.colour, lw=1.4, zorder=3)
    else:
        for _, run in rows.groupby("seed"):
            x, y = thin_curve(run["step"].to_numpy(dtype=float), _read_positive(run), POINTS)
            ax.plot(x, y, color=style.colour, lw=1.1, alpha=0.55 if len(arm.run_ids) > 1 else 1, zorder=3)
    threshold = _read_threshold(arm)
    if not math.isnan(threshold):
        ax.axhline(threshold, color=INK, lw=1.2, ls=(0, (4, 2)), zorder=5)
    steps = np.unique(rows.loc[rows["clipped"], "step"].to_numpy(dtype=float))
    steps = steps[pick_evenly(steps.size, TICKS)]
    ax.plot(
        steps,
        np.full(steps.size, 0.94),
        transform=ax.get_xaxis_transform(),
        ls="none",
        marker="|",
        ms=8,
        mew=1.1,
        color=ALERT,
        zorder=4,
        clip_on=False,
    )
    outliers = study.outliers[study.outliers["arm"] == arm.name]
    for step in sorted(set(outliers["step"])):
        ax.axvline(step, color=MUTED, lw=1, ls=(0, (1.2, 1.6)), zorder=2)
        late = step > 0.75 * ax.get_xlim()[1]
        where, align = (-6, "right") if late else (6, "left")
        at = (step, 0.66)
        ax.annotate(
            "outlier batch",
            at,
            (where, 0),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            ha=align,
            va="center",
            color=MUTED,
        )
    for step in _list_ends(rows):
        mark_end(ax, step, ax.get_ylim()[1])


def _list_ends(rows: pd.DataFrame) -> list[float]:
    """Steps at which a run's loss or gradient stopped being finite."""
    bad = rows[~np.isfinite(rows["grad_norm"]) | ~np.isfinite(rows["train_loss"])]
    return [float(step) for step in bad.groupby("seed")["step"].min()]
