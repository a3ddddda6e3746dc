"""Histogram of gradient norms, a panel per arm."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from gptexp.report.figures.axes import Axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.grad_norm import read_threshold
from gptexp.report.figures.legend import THRESHOLD
from gptexp.report.figures.marks import Bins, Mark, upright_rule
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import write_number, write_percent

BINS = 36


def norm_distribution(study: StudyRuns) -> Drawing | None:
    """A histogram of the gradient norms per arm on a shared logarithmic axis; None where no norm was recorded."""
    norms = study.steps["grad_norm"]
    shown = norms[np.isfinite(norms) & (norms > 0)]
    if shown.nunique() < 2:
        return None
    low, high = float(shown.min()), float(shown.max())
    # Processors differ in the last digit of a power; the page is the same everywhere.
    edges = np.array([float(f"{edge:.6g}") for edge in np.geomspace(low * 0.999, high * 1.001, BINS + 1)])
    data = pd.concat([_count(study, arm, edges) for arm in study.arms], ignore_index=True)
    panels = [_plot(study, arm, rows) for arm in study.arms if (rows := data[data["arm"] == arm.name])["steps"].any()]
    return Drawing(
        name="norm-distribution",
        title="Gradient norms over the whole run",
        caption="Number of steps by the length of their gradient (global L2 norm before clipping, logarithmic axis).",
        description=" ".join(_describe(study, arm) for arm in study.arms),
        data=data,
        run_ids=tuple(study.run_ids),
        draw=partial(draw_plot, Plot(panels, [THRESHOLD], height=(66, 66))),
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
    threshold = read_threshold(arm)
    if math.isnan(threshold):
        return ""
    return f", {write_percent(float((norms > threshold).mean()))} above the threshold {write_number(threshold, 2)}"


def _plot(study: StudyRuns, arm: ArmRuns, rows: pd.DataFrame) -> Panel:
    edges = [*rows["from"], rows["to"].iloc[-1]]
    marks: list[Mark] = [Bins(edges, rows["steps"], style_arm(arm.index).colour)]
    threshold = read_threshold(arm)
    if not math.isnan(threshold):
        marks.append(upright_rule(threshold, THRESHOLD.look, z=5))
    x = Axis(edges[0] / 1.05, edges[-1] * 1.05, "gradient norm (L2, before clipping)", "log")
    y = Axis(0, rows["steps"].max() * 1.05, "steps", ticks=3, leads=None, whole=True)
    return Panel(marks, x, y, arm.label, _describe_share(_norms(study, arm), arm))
