"""How often the gradient is how long, over a whole run."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gptexp.report.figures.canvas import Drawing, Layout, fit_title, format_axis, start_panels
from gptexp.report.figures.legend import Key
from gptexp.report.palette import INK, PAPER, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns, read_number
from gptexp.wording import write_number, write_percent

BINS = 36


def norm_distribution(study: StudyRuns) -> Drawing | None:
    """A histogram of the gradient norms per arm on a shared logarithmic axis; None where no norm was recorded."""
    norms = study.steps["grad_norm"]
    shown = norms[np.isfinite(norms) & (norms > 0)]
    if shown.nunique() < 2:
        return None
    low, high = float(shown.min()), float(shown.max())
    edges = np.geomspace(low * 0.999, high * 1.001, BINS + 1)
    data = pd.concat([_count(study, arm, edges) for arm in study.arms], ignore_index=True)
    return Drawing(
        name="norm-distribution",
        title="Gradient norms over the whole run",
        caption="How many steps had a gradient of which length (global L2 norm before clipping, logarithmic axis).",
        description=" ".join(_describe(study, arm) for arm in study.arms),
        data=data,
        run_ids=tuple(study.run_ids),
        draw=partial(_draw, study, edges),
    )


def _norms(study: StudyRuns, arm: ArmRuns) -> npt.NDArray[np.float64]:
    values = study.steps_of(arm)["grad_norm"].to_numpy(dtype=np.float64)
    kept: npt.NDArray[np.float64] = values[np.isfinite(values) & (values > 0)]
    return kept


def _count(study: StudyRuns, arm: ArmRuns, edges: npt.NDArray[np.float64]) -> pd.DataFrame:
    counts, _ = np.histogram(_norms(study, arm), bins=edges)
    return pd.DataFrame({"arm": arm.name, "from": edges[:-1], "to": edges[1:], "steps": counts})


def _describe(study: StudyRuns, arm: ArmRuns) -> str:
    norms = _norms(study, arm)
    if not norms.size:
        return f"{arm.label}: no norm recorded."
    low, middle, high = (write_number(float(np.percentile(norms, share))) for share in (5, 50, 95))
    text = f"{arm.label}: median {middle}, nine of ten steps between {low} and {high}, "
    return f"{text}largest {write_number(float(norms.max()))}{_describe_share(norms, arm)}."


def _describe_share(norms: npt.NDArray[np.float64], arm: ArmRuns) -> str:
    threshold = read_number(arm.runs["grad_clip"].iloc[0])
    if math.isnan(threshold):
        return ""
    return f", {write_percent(float((norms > threshold).mean()))} above the threshold {write_number(threshold, 2)}"


def _draw(study: StudyRuns, edges: npt.NDArray[np.float64], layout: Layout) -> Figure:
    # Only here: with scipy.stats, which it imports, it takes a second.
    import seaborn as sns

    arms = [arm for arm in study.arms if _norms(study, arm).size]
    keys = [Key("clip threshold", Line2D([], [], color=INK, lw=1.2, ls=(0, (4, 2))))]
    figure, axes = start_panels(layout, rows=len(arms), height=66, keys=keys, row_gap=34, top=26)
    for ax, arm in zip(axes, arms, strict=True):
        norms = _norms(study, arm)
        style = style_arm(arm.index)
        # seaborn reads edges of bins as logarithms where the axis is logarithmic already.
        sns.histplot(x=norms, bins=list(edges), ax=ax, color=style.colour, alpha=0.75, edgecolor=PAPER, linewidth=0.6)
        ax.set_xscale("log")
        threshold = read_number(arm.runs["grad_clip"].iloc[0])
        share = _describe_share(norms, arm) if layout.labels_at_ends else ""
        ax.set_title(fit_title(arm.label, layout, share), loc="left", color=INK, pad=5)
        if not math.isnan(threshold):
            ax.axvline(threshold, color=INK, lw=1.2, ls=(0, (4, 2)), zorder=5)
        ax.set_xlim(edges[0] / 1.05, edges[-1] * 1.05)
        ax.set_ylim(bottom=0)
        format_axis(ax, "x", log=True)
        format_axis(ax, "y")
        ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.set_ylabel("steps")
        ax.set_xlabel("gradient norm (L2, before clipping)" if ax is axes[-1] else "")
        if ax is not axes[-1]:
            ax.tick_params(labelbottom=False)
    return figure
