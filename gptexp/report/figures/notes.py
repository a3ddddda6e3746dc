"""Numbered pins on a curve, and notes under the figure that explain each pin."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.report.figures.canvas import Layout
from gptexp.report.figures.end_labels import LINE
from gptexp.report.figures.lettering import CHARACTER, fit_lines
from gptexp.report.figures.marks import Line, Series, Words, fill_dots
from gptexp.report.palette import INK, MUTED, PAPER

INDENT = 26
"""Pixels from the left edge of a note to its text."""
GAP = 9
"""Pixels between notes."""
EDGE = 8
"""Pixels that stay free on the right."""
DOT, NO_BREAK = "·", "\u00a0"
MONO = 6.95
"""Width of a character of 11.5 px in a fixed-width font, on the wide side."""


@dataclass(frozen=True)
class Note:
    """What a pin stands for."""

    head: str
    text: str
    is_sample: bool = False
    """A model's text, in a fixed-width font and on few lines."""


def make_pin(x: float, y: float, number: int) -> tuple[Line, Words]:
    """A numbered disc at a point of a curve."""
    disc = replace(fill_dots(INK, size=16), edge_width=1.6)
    text = Words(x, y, str(number), (0, -0.4), "center", "center_baseline", PAPER, size=11, z=9)
    return Line([x], [y], disc, z=8, overlap=True, series=Series(str(number), "pin")), text


def measure_notes(layout: Layout, notes: Sequence[Note]) -> float:
    """Pixels that the notes need under a panel."""
    return sum(LINE * (len(_wrap_head(note, layout)) + len(_wrap(note, layout))) + GAP for note in notes)


def draw_notes(figure: Figure, layout: Layout, notes: Sequence[Note]) -> None:
    """Write the notes at the bottom of a figure that was made `measure_notes` higher than its panel needs."""
    height = figure.get_size_inches()[1] * figure.dpi
    y = measure_notes(layout, notes) - LINE * 0.8
    for number, note in enumerate(notes, 1):
        figure.text(13 / layout.width, y / height, str(number), color=PAPER, fontsize=11, ha="center", va="center")
        figure.add_artist(_disc(figure, 13 / layout.width, y / height))
        head: dict[str, Any] = {"color": INK, "fontweight": "bold"}
        own: dict[str, Any] = {"family": "monospace", "fontsize": 11.5} if note.is_sample else {}
        lines = [(line, head) for line in _wrap_head(note, layout)]
        lines += [(line, {"color": MUTED, **own}) for line in _wrap(note, layout)]
        for line, style in lines:
            figure.text(INDENT / layout.width, y / height, line, ha="left", va="center", **style)
            y -= LINE
        y -= GAP


def _disc(figure: Figure, x: float, y: float) -> Line2D:
    return Line2D([x], [y], marker="o", ms=16, mfc=INK, mec="none", ls="none", transform=figure.transFigure)


def _wrap_head(note: Note, layout: Layout) -> list[str]:
    """The head on as many lines as it needs, broken at its dots if it has some."""
    glued = note.head.replace(" ", NO_BREAK).replace(f"{NO_BREAK}{DOT}{NO_BREAK}", f"{NO_BREAK}{DOT} ")
    text = glued if DOT in note.head else note.head
    lines = textwrap.wrap(text, int((layout.width - INDENT - EDGE) / CHARACTER))
    return [line.replace(NO_BREAK, " ") for line in lines]


def _wrap(note: Note, layout: Layout) -> list[str]:
    width = int((layout.width - INDENT - EDGE) / (MONO if note.is_sample else CHARACTER))
    if note.is_sample:
        return fit_lines(note.text, width, 2)
    return textwrap.wrap(note.text, width)
