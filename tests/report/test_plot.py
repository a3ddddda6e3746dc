"""What every figure gets from the functions that draw its data: where names, numbers and keys stand at each size."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from gptexp.report.figures.axes import Axis, Conversion
from gptexp.report.figures.canvas import NARROW, WIDE
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
