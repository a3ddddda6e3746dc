"""Legends above a figure, so that they never cover data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.report.figures.lettering import fit_label, measure
from gptexp.report.palette import ALERT, INK, PAPER, ArmStyle, style_arm
from gptexp.runs.study_runs import ArmRuns


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    text: str
    handle: Line2D


def make_arm_keys(arms: Sequence[ArmRuns], *, marker: bool = False) -> list[Key]:
    """Legend entries of arms in their line styles."""
    keys = []
    for arm in arms:
        style = style_arm(arm.index)
        handle = make_line(style, marker=style.marker if marker else None)
        keys.append(Key(arm.label, handle))
    return keys


def make_line(style: ArmStyle, *, marker: str | None = None, lw: float = 2.2, **more: object) -> Line2D:
    """A legend handle in an arm's style."""
    line = Line2D([], [], color=style.colour, lw=lw, ls=line_style(style), **more)  # type: ignore[arg-type]
    if marker:
        line.set(marker=marker, markersize=6, markerfacecolor=PAPER, markeredgewidth=1.6)
    return line


def line_style(style: ArmStyle) -> str | tuple[float, tuple[float, ...]]:
    """An arm's dash as matplotlib takes it."""
    return (0, style.dash) if style.dash else "-"


def make_end_key() -> Key:
    handle = Line2D([], [], marker="X", ms=9, mfc=ALERT, mec=PAPER, mew=1.2, ls="none")
    return Key("diverged", handle)


def make_stop_key() -> Key:
    handle = Line2D([], [], marker="|", ms=13, mec=INK, mew=2, ls="none")
    return Key("stopped as asked", handle)


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
        handle = key.handle
        has_line = handle.get_linestyle() != "None"
        handle.set_transform(figure.transFigure)
        handle.set_data([left, left + 13 / width, left + 26 / width], [middle] * 3)
        handle.set_markevery([1])
        if not has_line:
            handle.set_linestyle("none")
        figure.add_artist(handle)
        figure.text(left + 34 / width, middle, text, va="center", ha="left", color=INK)
