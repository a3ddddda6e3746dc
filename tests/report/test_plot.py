"""What every figure gets from the functions that draw its data: where names, numbers and keys stand at each size."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gptexp.report.figures.axes import Axis, Conversion
from gptexp.report.figures.canvas import NARROW, WIDE, Layout
from gptexp.report.figures.end_labels import Name
from gptexp.report.figures.legend import Key
from gptexp.report.figures.marks import Line, Look, cap_at, fill_dots, rule, style_line
from gptexp.report.figures.notes import Note, make_pin
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.figures.rows import Row, RowPlot, draw_rows
from gptexp.report.palette import INK, style_arm
from gptexp.report.svg import drawing_style

X, Y = Axis(1, 100, "step"), Axis(0, 4, "loss")


def make_plot(n_lines: int, x: Axis = X) -> Plot:
    """Lines called "line 0", "line 1" and so on, from (1, 1) to (10, 3)."""
    styles = [style_arm(index) for index in range(n_lines)]
    marks = [Line([1, 10], [1, 3], style_line(style)) for style in styles]
    names = [Name(f"line {index}", style, (10, 3)) for index, style in enumerate(styles)]
    return Plot([Panel(marks, x, Y)], [Key("a key", Look(INK))], names)


def list_texts(figure: Figure) -> tuple[set[str], set[str]]:
    """The texts beside the figure's panels, and those inside of them."""
    inside = {text.get_text() for ax in figure.axes for text in ax.texts}
    return {text.get_text() for text in figure.texts}, inside


def test_lines_are_named_at_their_ends_or_in_the_legend() -> None:
    """At the ends on a wide page, in the legend on a narrow one; a line that stands alone needs no name."""
    with drawing_style():
        wide, narrow = (list_texts(draw_plot(make_plot(2), layout)) for layout in (WIDE, NARROW))
        alone = [list_texts(draw_plot(make_plot(1), layout)) for layout in (WIDE, NARROW)]
    assert wide == ({"a key"}, {"line 0", "line 1"})
    assert narrow == ({"a key", "line 0", "line 1"}, set())
    assert alone == [({"a key"}, set())] * 2


@pytest.mark.parametrize(("scale", "share"), [("linear", 9 / 99), ("log", 0.5)])
def test_names_are_tied_to_where_lines_end(scale: str, share: float) -> None:
    """A dotted line leads from the last point of a line to its name, on a logarithmic axis too."""
    with drawing_style():
        (ax,) = draw_plot(make_plot(2, Axis(1, 100, scale=scale)), WIDE).axes  # type: ignore[arg-type]
    leads = [line for line in ax.lines if line.get_transform() == ax.transAxes]
    assert [lead.get_xdata()[0] for lead in leads] == pytest.approx([share] * 2)
    assert [lead.get_ydata()[0] for lead in leads] == pytest.approx([0.75] * 2)


def test_panels_share_their_x_axis() -> None:
    """Under the last panel alone stand its name and its numbers, unless the panels show different steps."""
    panel = Panel([rule(1, Look(INK))], X, Y, "an arm")
    with drawing_style():
        shared, apart = (draw_plot(Plot([panel] * 3, share_x=share), NARROW) for share in (True, False))
        for figure, numbers in ((shared, [False, False, True]), (apart, [True] * 3)):
            figure.draw_without_rendering()
            assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "step"]
            shown = [any(label.get_visible() for label in ax.get_xticklabels()) for ax in figure.axes]
            assert shown == numbers


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("high", [8, 12, 18.5])
@pytest.mark.parametrize("side_label", ["", "all panels"])
def test_numbers_stay_inside_of_the_figure(layout: Layout, high: float, side_label: str) -> None:
    """However large the perplexities on the right and the numbers on the left are; the panel gives way."""
    losses = Panel([rule(1, Look(INK))], X, Axis(0, high, "loss"), above=Conversion(1, "epochs"), perplexity=True)
    large = Panel([rule(1, Look(INK))], X, Axis(0, 10**high, "gradient norm"), beside=Conversion(7, "other"))
    for panel in (losses, large):
        with drawing_style():
            figure = draw_plot(Plot([panel], side_label=side_label), layout)
            left, right = find_sides(figure)
        assert left >= (24 if side_label else 0) - 0.5
        assert right <= layout.width + 0.5


def find_sides(figure: Figure) -> tuple[float, float]:
    """How far the numbers and labels of its axes reach to the left and to the right, pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = [one for ax in figure.axes for one in (ax, *ax.child_axes)]
    boxes = [axis.get_tightbbox(canvas.get_renderer()) for ax in axes for axis in (ax.xaxis, ax.yaxis)]
    found = [box for box in boxes if box is not None]
    return min(box.x0 for box in found), max(box.x1 for box in found)


def test_long_heads_of_notes_take_two_lines() -> None:
    """Broken at a dot, and only where a line is too long."""
    note = Note("step 13,070 · loss 1.395 · 4.638 per GPT-2 token", "To be", is_sample=True)
    with drawing_style():
        wide, narrow = (draw_plot(Plot([Panel([], X, Y)], notes=[note]), layout) for layout in (WIDE, NARROW))
    assert note.head in list_texts(wide)[0]
    assert {"step 13,070 · loss 1.395 ·", "4.638 per GPT-2 token"} <= list_texts(narrow)[0]


def test_notes_add_to_the_height() -> None:
    """A panel stays as high as it is without notes; each of its pins has a note below."""
    pins = [*make_pin(1, 1, 1), *make_pin(2, 2, 2)]
    notes = [Note("first", "what happened"), Note("second", "what came of it")]
    heights, texts = [], set()
    with drawing_style():
        for some in ((), notes):
            figure = draw_plot(Plot([Panel(pins, X, Y)], notes=some, height=(200, 200)), NARROW)
            heights.append(figure.axes[0].get_window_extent().height)
            texts = list_texts(figure)[0]
    assert heights == pytest.approx([200, 200])
    assert {"1", "first", "what happened", "2", "second", "what came of it"} == texts


def test_rows_are_named_beside_or_above() -> None:
    """Left of the panel on a wide page, inside it and above the dots on a narrow one; what follows a name isn't cut."""
    rows = [Row("a long name " * 20, [Line([2], [0], fill_dots(INK))], " (1 of 2 diverged)", "2.000")]
    plot = RowPlot(rows, X, (40, 60), right=(70, 70), left=14, top=44, above=Conversion(2, "twice"))
    with drawing_style():
        for layout in (WIDE, NARROW):
            (ax,) = draw_rows(plot, layout).axes
            value, name = ax.texts
            assert value.get_text() == "2.000"
            assert " … " in name.get_text()
            assert name.get_text().endswith(" (1 of 2 diverged)")
            assert (name.xy[0] < 0) == layout.is_wide  # type: ignore[attr-defined]


def test_dots_above_the_axis_become_triangles_at_its_edge() -> None:
    """None is lost, and none is drawn where no axis says what it means."""
    inside, beyond = cap_at(3, [1, 2, 3], [1, 9, 3], fill_dots(INK))
    assert (list(inside.x), list(inside.y)) == ([1, 3], [1, 3])  # type: ignore[arg-type]
    assert (list(beyond.x), list(beyond.y), beyond.look.marker) == ([2], [3], "^")  # type: ignore[arg-type]
