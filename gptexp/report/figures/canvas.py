"""What every figure shares: its two layouts, its panels and its axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from gptexp.report.figures.end_labels import LINE
from gptexp.report.figures.legend import Key, arrange_keys, draw_key_row
from gptexp.report.figures.lettering import fit_label, measure
from gptexp.report.palette import ALERT, GRID, INK, MUTED, PAPER

DPI = 72
"""Dots per inch at which one point is one unit of the viewBox."""
LEFT, RIGHT = 58, 24
"""Pixels beside a panel that has its axis on the left. On the right half of a label like 100,000 has room."""


@dataclass(frozen=True)
class Layout:
    """A size that a figure is drawn for. Sizes are CSS pixels."""

    name: str
    width: int
    height: int
    """Of a single panel."""
    labels_at_ends: bool
    """Arms are named at the ends of their lines, not in a legend above."""


WIDE = Layout("wide", 860, 400, labels_at_ends=True)
NARROW = Layout("narrow", 320, 280, labels_at_ends=False)


@dataclass(frozen=True)
class Drawing:
    """A figure before it is drawn: what it says, the data behind it, and how to draw it at a size."""

    name: str
    title: str
    caption: str
    """What the reader should know to read it."""
    description: str
    """What it shows, in numbers: its alternative text."""
    data: pd.DataFrame
    """The numbers that are drawn, as its CSV holds them."""
    run_ids: tuple[str, ...]
    draw: Callable[[Layout], Figure]


def start_panels(
    layout: Layout,
    *,
    rows: int = 1,
    height: float | None = None,
    least: float = 0,
    right: float = RIGHT,
    left: float = LEFT,
    keys: Sequence[Key] = (),
    row_gap: float = 30,
    top: float = 8,
    bottom: float = 44,
) -> tuple[Figure, list[Axes]]:
    """A figure of `rows` panels above each other with a legend over them. All sizes are pixels.

    Args:
        height: of one panel; None takes the layout's.
        least: how high a panel is at least, for what stands beside it.
        right: room for labels at the ends of lines.
    """
    height = max(layout.height - top - bottom if height is None else height, least)
    legend_rows = arrange_keys(keys, layout.width)
    top += LINE * len(legend_rows) + (10 if legend_rows else 0)
    total = top + bottom + rows * height + (rows - 1) * row_gap
    figure = Figure(figsize=(layout.width / DPI, total / DPI), dpi=DPI)
    axes = []
    for row in range(rows):
        base = bottom + (rows - 1 - row) * (height + row_gap)
        box = (left / layout.width, base / total, (layout.width - left - right) / layout.width, height / total)
        axes.append(figure.add_axes(box))
    for row, entries in enumerate(legend_rows):
        draw_key_row(figure, entries, 1 - (4 + LINE * (row + 0.5)) / total, layout.width)
    for ax in axes:
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.grid(axis="y", zorder=0)
        ax.set_axisbelow(True)
    return figure, axes


def fit_title(label: str, layout: Layout, ending: str = "") -> str:
    """A title above a panel: an arm's label, made to fit, and what is said of it."""
    room = layout.width - LEFT - RIGHT
    if measure(ending) > room / 2:
        ending = ""
    return f"{fit_label(label, room - measure(ending))}{ending}"


def mark_end(ax: Axes, x: float, y: float) -> None:
    """The point at which a run diverged: a cross that lies above every line."""
    ax.plot([x], [y], marker="X", ms=10, mfc=ALERT, mec=PAPER, mew=1.2, ls="none", zorder=9, clip_on=False)


def mark_stop(ax: Axes, x: float, y: float) -> None:
    """The point to which a run was trained so far: a bar across its line, where it goes on one day."""
    ax.plot([x], [y], marker="|", ms=16, mec=INK, mew=2, ls="none", zorder=9, clip_on=False)


def format_axis(ax: Axes, which: str, *, log: bool = False) -> None:
    """Plain numbers (0.1, 1, 10,000) at few ticks on the axis `which`, x or y."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())
    if log:
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,), numticks=5))
        axis.set_minor_locator(FixedLocator([]))
    else:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def format_step_axis(ax: Axes, last_step: float) -> None:
    """The axis of optimizer steps, from 0 to a little behind the last one."""
    ax.set_xlim(0, max(last_step, 1) * 1.005)
    format_axis(ax, "x")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 2.5, 5, 10]))
    ax.set_xlabel("step")


def add_epoch_axis(ax: Axes, epochs_per_step: float) -> None:
    """Passes over the corpus as a second axis at the top; nothing where they differ between runs (NaN)."""
    if not math.isfinite(epochs_per_step) or epochs_per_step <= 0:
        return

    def to_epochs(steps: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.asarray(steps, dtype=np.float64) * epochs_per_step

    def to_steps(epochs: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.asarray(epochs, dtype=np.float64) / epochs_per_step

    top = ax.secondary_xaxis("top", functions=(to_epochs, to_steps))
    top.set_xlabel("epochs over the corpus", color=MUTED, labelpad=6)
    top.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    top.tick_params(colors=MUTED, length=3)
    top.spines["top"].set(visible=True, color=GRID)


def add_perplexity_axis(ax: Axes) -> None:
    """What the losses of the left axis mean as perplexity, e^loss, on the right. Call it after the limits are set."""
    low, high = ax.get_ylim()
    ticks = [lead * 10**power for power in range(8) for lead in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= math.log(tick) <= high]
    while len(shown) > 6:
        shown = shown[::-2][::-1]
    right = ax.twinx()
    right.set_ylim(low, high)
    right.set_yticks([math.log(tick) for tick in shown], [f"{tick:,}" for tick in shown])
    right.set_ylabel("perplexity")
    right.spines[["top", "right", "left"]].set_visible(False)
    right.tick_params(length=0)
    ax.set_zorder(right.get_zorder() + 1)
