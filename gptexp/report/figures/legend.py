"""Legends above a figure, so that they never cover data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.report.figures.lettering import fit_label, measure
from gptexp.report.figures.marks import DASHED, END, STOP, Look
from gptexp.report.palette import INK


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    text: str
    look: Look


THRESHOLD = Key("clip threshold", Look(INK, 1.2, DASHED))
DIVERGED = Key("diverged", replace(END, size=9))
STOPPED_AS_ASKED = Key("stopped as asked", replace(STOP, size=13))


def arrange_keys(keys: Sequence[Key], width: int) -> list[list[tuple[float, Key, str]]]:
    """Legend entries in rows that fit into `width`, each with its left edge as a fraction of the width."""
    rows: list[list[tuple[float, Key, str]]] = []
    edge = math.inf
    for key in keys:
        text = fit_label(key.text, width - 48)
        needed = 34 + measure(text) + 16
        if edge + needed > width:
            rows.append([])
            edge = 2
        rows[-1].append((edge / width, key, text))
        edge += needed
    return rows


def draw_key_row(figure: Figure, row: Sequence[tuple[float, Key, str]], middle: float, width: int) -> None:
    """Draw one row of entries, its text centred on `middle` (a fraction of the figure's height)."""
    for left, key, text in row:
        across = [left, left + 13 / width, left + 26 / width]
        look = key.look.to_matplotlib()
        figure.add_artist(Line2D(across, [middle] * 3, **look, markevery=[1], transform=figure.transFigure))
        figure.text(left + 34 / width, middle, text, va="center", ha="left", color=INK)
