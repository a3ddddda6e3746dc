"""A figure as data, and the one function that draws it at a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gptexp.report.figures.axes import Axis, Conversion, draw_axis, draw_conversion, draw_perplexity
from gptexp.report.figures.canvas import DPI, LEFT, RIGHT, Layout, start_panels
from gptexp.report.figures.end_labels import Name, label_ends, measure_column, measure_labels
from gptexp.report.figures.legend import Key
from gptexp.report.figures.lettering import fit_label, measure
from gptexp.report.figures.marks import Mark, style_line
from gptexp.report.figures.notes import Note, draw_notes, measure_notes
from gptexp.report.live import tag_axes
from gptexp.report.palette import INK, MUTED

EDGE = 2
"""Pixels that stay free at the sides of a figure."""
SIDE_LABEL = 24
"""Pixels that the label of all y axes takes at the left side."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes and what it shows."""

    marks: Sequence[Mark]
    x: Axis
    y: Axis
    title: str = ""
    """An arm's label, made to fit."""
    remark: str = ""
    """Said after the title on a wide page, where there is room."""
    above: Conversion | None = None
    """What x means in another unit."""
    beside: Conversion | None = None
    """What y means in another unit; it takes the place of the perplexity."""
    perplexity: bool = False
    """What y, a loss, means as perplexity."""


@dataclass(frozen=True)
class Plot:
    """Panels above each other, and what stands around them. Sizes are pixels; None leaves them to `draw_plot`."""

    panels: Sequence[Panel]
    keys: Sequence[Key] = ()
    names: Sequence[Name] = ()
    """Of the lines of a single panel, where they are several: at their ends, or in the legend of a narrow page."""
    notes: Sequence[Note] = ()
    """Below the panel, one for each of its pins."""
    side_label: str = ""
    """Of the y axes together."""
    share_x: bool = True
    """Numbers stand under the last panel only."""
    height: tuple[float, float] | None = None
    """Of one panel on a wide and on a narrow page."""
    left: float = LEFT
    right: float | None = None
    top: float | None = None
    gap: float = 34
    """Between two panels."""
    title_pad: float = 5


def draw_plot(plot: Plot, layout: Layout) -> Figure:
    """Draw a figure at a size."""
    has_names = len(plot.names) > 1
    at_ends = [name.text for name in plot.names] if has_names and layout.is_wide else []
    in_legend = plot.names if has_names and not layout.is_wide else []
    figure, axes = start_panels(
        layout,
        rows=len(plot.panels),
        height=max(_choose_height(plot, layout), measure_column(at_ends)),
        keys=[*plot.keys, *(Key(name.text, style_line(name.style, 2.2, name.marker)) for name in in_legend)],
        left=plot.left,
        right=measure_labels(at_ends) if at_ends else _choose_right(plot),
        top=_choose_top(plot),
        bottom=_choose_bottom(plot, layout),
        gap=plot.gap,
    )
    for ax, panel in zip(axes, plot.panels, strict=True):
        draw_panel(ax, panel)
        if panel.title:
            remark = panel.remark if layout.is_wide else ""
            ax.set_title(_fit_title(panel.title, layout, remark), loc="left", color=INK, pad=plot.title_pad)
        if ax is not axes[-1]:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=not plot.share_x)
    make_room(figure, axes, left=SIDE_LABEL if plot.side_label else EDGE)
    if at_ends:
        label_ends(axes[0], plot.names, figure.get_size_inches()[1] * DPI * axes[0].get_position().height)
    if plot.side_label:
        middle = (axes[0].get_position().y1 + axes[-1].get_position().y0) / 2
        centred: dict[str, Any] = {"rotation": 90, "va": "center", "ha": "center", "color": MUTED}
        figure.text(13 / layout.width, middle, plot.side_label, **centred)
    draw_notes(figure, layout, plot.notes)
    return figure


def draw_panel(ax: Axes, panel: Panel) -> None:
    """Fill the axes of one panel."""
    tag_axes(ax)
    for mark in panel.marks:
        mark.draw(ax)
    draw_axis(ax, "x", panel.x)
    draw_axis(ax, "y", panel.y)
    if panel.beside:
        draw_conversion(ax, panel.beside, right=True)
    elif panel.perplexity:
        draw_perplexity(ax)
    if panel.above:
        draw_conversion(ax, panel.above)


def make_room(figure: Figure, panels: Sequence[Axes], left: float) -> None:
    """Narrow the panels by what their numbers and labels need beyond the figure's sides, such as a perplexity of 1e8.

    Args:
        left: pixels at the left side that stay free.
    """
    width = figure.get_size_inches()[0] * figure.dpi
    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    axes: list[Any] = [one for ax in figure.axes for one in (ax, *ax.child_axes)]
    for ax in axes:
        # A second axis takes its panel's place when it is drawn, and is measured before.
        locator = ax.get_axes_locator()
        ax.apply_aspect(locator(ax, renderer) if locator else None)
    found = [axis.get_tightbbox(renderer, for_layout_only=True) for ax in axes for axis in (ax.xaxis, ax.yaxis)]
    boxes = [box for box in found if box is not None]
    too_far_left = max(0.0, left - min(box.x0 for box in boxes))
    too_far_right = max(0.0, max(box.x1 for box in boxes) - (width - EDGE))
    for ax in panels:
        place = ax.get_position()
        start, end = place.x0 + too_far_left / width, place.x1 - too_far_right / width
        ax.set_position((start, place.y0, end - start, place.height))


def _choose_height(plot: Plot, layout: Layout) -> float:
    if plot.height is None:
        return layout.height - _choose_top(plot) - 44
    return plot.height[0 if layout.is_wide else 1]


def _choose_right(plot: Plot) -> float:
    """Beside a panel without names at the ends of its lines."""
    if plot.right is not None:
        return plot.right
    return 66 if plot.panels[0].perplexity or plot.panels[0].beside else RIGHT


def _choose_top(plot: Plot) -> float:
    """Above the first panel, under the legend."""
    if plot.top is not None:
        return plot.top
    first = plot.panels[0]
    return 46 if first.above else 26 if first.title else 8


def _choose_bottom(plot: Plot, layout: Layout) -> float:
    return 56 + measure_notes(layout, plot.notes) if plot.notes else 44


def _fit_title(label: str, layout: Layout, remark: str) -> str:
    """A title above a panel: an arm's label, made to fit, and what is said of it."""
    room = layout.width - LEFT - RIGHT
    if measure(remark) > room / 2:
        remark = ""
    return f"{fit_label(label, room - measure(remark))}{remark}"
