"""A row per arm along a shared axis, its dots in it and its name beside it (above it on a narrow page)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from gptexp.report.figures.axes import Axis, Conversion, draw_axis, draw_conversion
from gptexp.report.figures.canvas import Layout, start_panels
from gptexp.report.figures.legend import Key
from gptexp.report.figures.lettering import CHARACTER, fit_label, measure, measure_room
from gptexp.report.figures.marks import Look, Mark, Words, rule
from gptexp.report.palette import MUTED


@dataclass(frozen=True)
class Row:
    """One arm. The row in place `n`, from 0, stands at y = `n`, and is 1 high."""

    label: str
    marks: Sequence[Mark]
    ending: str = ""
    """Said after the label, never cut."""
    value: str = ""
    """A number at the right of the row."""


@dataclass(frozen=True)
class RowPlot:
    """Rows under each other. Sizes are pixels."""

    rows: Sequence[Row]
    x: Axis
    height: tuple[float, float]
    """Of a row on a wide and on a narrow page."""
    right: tuple[float, float]
    """Beside the panel, on a wide and on a narrow page."""
    left: float
    """On a narrow page; on a wide one the names need more."""
    top: float
    lead: float = 0.5
    """Room above the first row's y on a narrow page, in rows."""
    keys: Sequence[Key] = ()
    above: Conversion | None = None


def draw_rows(plot: RowPlot, layout: Layout) -> Figure:
    """Draw the rows at a size."""
    size = 0 if layout.is_wide else 1
    widest = 60 * CHARACTER if layout.is_wide else layout.width - 2 * plot.left
    names = [f"{fit_label(row.label, widest - measure(row.ending))}{row.ending}" for row in plot.rows]
    figure, (ax,) = start_panels(
        layout,
        rows=1,
        height=len(plot.rows) * plot.height[size],
        keys=plot.keys,
        left=measure_room(names, 18, 8) if layout.is_wide else plot.left,
        right=plot.right[size],
        top=plot.top,
        bottom=44,
        gap=0,
    )
    for place, (row, name) in enumerate(zip(plot.rows, names, strict=True)):
        beside = Words(-0.015, place, name, align="right", units="width")
        title = beside if layout.is_wide else Words(0, place - 0.34, name, units="width")
        line = rule(place, Look(MUTED, 0.6, alpha=0.35), z=1)
        for mark in (line, *row.marks, Words(1.02, place, row.value, units="width"), title):
            mark.draw(ax)
    draw_axis(ax, "x", plot.x)
    ax.set_ylim(len(plot.rows) - 0.5, -0.5 if layout.is_wide else -plot.lead)
    ax.set_yticks([])
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    if plot.above:
        draw_conversion(ax, plot.above)
    return figure
