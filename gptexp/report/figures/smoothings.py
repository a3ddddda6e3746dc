"""One noisy loss curve, smoothed over windows of three sizes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from gptexp.measures.curves import centred_mean, choose_smoothing_window, thin_curve
from gptexp.report.figures.axes import Axis, make_loss_axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.marks import Line, Look
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import style_arm
from gptexp.report.units import find_unit
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import count_things, write_loss


def three_smoothings(study: StudyRuns) -> Drawing | None:
    """The first seed of the last arm (the scheduled one of an ablation), raw and as means of two windows.

    None with fewer than 40 recorded steps: there is nothing to smooth.
    """
    for arm in reversed(study.arms):
        rows = study.steps_of(arm)
        rows = rows[rows["seed"] == rows["seed"].min()]
        if np.isfinite(rows["train_loss"]).sum() >= 40:
            break
    else:
        return None
    wide = choose_smoothing_window(len(rows))
    windows = (1, 2 * (wide // 6) + 1, 2 * wide + 1)
    curves = _smooth(rows, windows)
    return Drawing(
        name="three-smoothings",
        title="The same curve at three smoothings",
        caption=f"{arm.label}, without its first tenth, in which the loss falls too steeply to see anything else. "
        "Read the health of a run from the raw curve and its trend from a smoothed one. Teeth as wide as an epoch come "
        "from a text that is read again: at each new pass the loss drops.",
        description=" ".join(
            f"{_name(window)}: from one step to the next it moves by {write_loss(_measure_jump(curves, window))} nats "
            "on average."
            for window in windows
        ),
        data=curves,
        run_ids=(str(rows["run_id"].iloc[0]),),
        draw=partial(draw_plot, _plot(curves, windows, style_arm(arm.index).colour, find_unit(arm.runs, "train").nats)),
    )


def _smooth(rows: pd.DataFrame, windows: tuple[int, ...]) -> pd.DataFrame:
    """run_id, step and one column per window, the first tenth of the steps left out."""
    losses = rows["train_loss"].to_numpy(dtype=float)
    curves = rows[["run_id", "step"]].assign(**{f"mean_of_{w}": centred_mean(losses, w) for w in windows})
    later: pd.DataFrame = curves[curves["step"] > rows["step"].max() / 10].reset_index(drop=True)
    return later


def _name(window: int) -> str:
    return "every step, raw" if window == 1 else f"mean of {count_things(window, 'step')}"


def _measure_jump(curves: pd.DataFrame, window: int) -> float:
    return float(curves[f"mean_of_{window}"].diff().abs().mean())


def _plot(curves: pd.DataFrame, windows: tuple[int, ...], colour: str, nats: str) -> Plot:
    x, raw = curves["step"].to_numpy(dtype=float), curves["mean_of_1"].to_numpy()
    faint = Line(*thin_curve(x, raw, 500), Look(colour, 0.7, alpha=0.2))
    y = replace(make_loss_axis(raw, 0.06, nats), label="", ticks=4)
    panels = []
    for window in windows:
        shown = thin_curve(x, curves[f"mean_of_{window}"].to_numpy(), 600)
        marks = [Line(*shown, Look(colour, 0.9))] if window == 1 else [faint, Line(*shown, Look(colour, 2.2))]
        panels.append(Panel(marks, Axis(x.min(), x.max(), "step", whole=True), y, _name(window)))
    return Plot(panels, side_label=f"train loss ({nats})", height=(116, 116))
