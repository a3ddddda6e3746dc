"""One noisy curve at three smoothings."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gptexp.measures.curves import centred_mean, choose_smoothing_window, thin_curve
from gptexp.report.figures.canvas import Drawing, Layout, format_axis, format_step_axis, start_panels
from gptexp.report.palette import INK, MUTED, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns
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
        "Read the health of a run from the raw curve and its trend from a smoothed one; too wide a window hides both.",
        description=" ".join(
            f"{_name(window)}: from one step to the next it moves by {write_loss(_measure_jump(curves, window))} nats "
            "on average."
            for window in windows
        ),
        data=curves,
        run_ids=(str(rows["run_id"].iloc[0]),),
        draw=partial(_draw, arm, curves, windows),
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


def _draw(arm: ArmRuns, curves: pd.DataFrame, windows: tuple[int, ...], layout: Layout) -> Figure:
    figure, axes = start_panels(layout, rows=3, height=116, row_gap=34, top=26)
    style = style_arm(arm.index)
    raw = curves["mean_of_1"][np.isfinite(curves["mean_of_1"])]
    room = 0.06 * (raw.max() - raw.min())
    x = curves["step"].to_numpy(dtype=float)
    for ax, window in zip(axes, windows, strict=True):
        if window > 1:
            ax.plot(*thin_curve(x, curves["mean_of_1"].to_numpy(), 500), color=style.colour, lw=0.7, alpha=0.2)
        width = 0.9 if window == 1 else 2.2
        ax.plot(*thin_curve(x, curves[f"mean_of_{window}"].to_numpy(), 600), color=style.colour, lw=width)
        ax.set_ylim(raw.min() - room, raw.max() + room)
        format_step_axis(ax, x.max())
        ax.set_xlim(x.min(), x.max())
        format_axis(ax, "y")
        ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        ax.set_title(_name(window), loc="left", color=INK, pad=5)
        if ax is not axes[-1]:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
    middle = (axes[0].get_position().y1 + axes[-1].get_position().y0) / 2
    figure.text(
        13 / layout.width, middle, "train loss (nats per token)", rotation=90, va="center", ha="center", color=MUTED
    )
    return figure
