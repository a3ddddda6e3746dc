"""A figure before it is drawn, the two layouts that it is drawn for, and the panels of an empty one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gptexp.report.figures.end_labels import LINE
from gptexp.report.figures.legend import Key, arrange_keys, draw_key_row

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
    is_wide: bool
    """Names stand beside what they name; else they are in a legend or above it."""


WIDE = Layout("wide", 860, 400, is_wide=True)
NARROW = Layout("narrow", 320, 280, is_wide=False)


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
    rows: int,
    height: float,
    keys: Sequence[Key],
    left: float,
    right: float,
    top: float,
    bottom: float,
    gap: float,
) -> tuple[Figure, list[Axes]]:
    """A figure of `rows` panels above each other with a legend over them. All sizes are pixels.

    Args:
        height: of one panel.
        gap: between two panels.
    """
    legend_rows = arrange_keys(keys, layout.width)
    top += LINE * len(legend_rows) + (10 if legend_rows else 0)
    total = top + bottom + rows * height + (rows - 1) * gap
    figure = Figure(figsize=(layout.width / DPI, total / DPI), dpi=DPI)
    axes = []
    for row in range(rows):
        base = bottom + (rows - 1 - row) * (height + gap)
        box = (left / layout.width, base / total, (layout.width - left - right) / layout.width, height / total)
        axes.append(figure.add_axes(box))
    for row, entries in enumerate(legend_rows):
        draw_key_row(figure, entries, 1 - (4 + LINE * (row + 0.5)) / total, layout.width)
    for ax in axes:
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.grid(axis="y", zorder=0)
        ax.set_axisbelow(True)
    return figure, axes
