"""Names at the ends of lines, moved apart where they would overlap."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes

from gptexp.report.palette import INK, ArmStyle

CHARACTER = 6.6
"""Mean width of a character at 12 px, on the wide side."""
LINE = 17
"""Height of a line of text."""


def measure_labels(labels: Sequence[str], width: int = 24) -> float:
    """Pixels that `label_ends` needs at the right of a panel for these labels."""
    longest = max((len(line) for label in labels for line in wrap_label(label, width)), default=0)
    return longest * CHARACTER + 38


def label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, ArmStyle]], height: float) -> None:
    """Name lines at the right of a panel: (x, y, text, style) each, moved apart where they would overlap.

    Call it after the limits of both axes are set.
    """
    placed = sorted(((_fraction(ax, y), x, text, style) for x, y, text, style in ends), key=lambda end: end[0])
    heights = [len(wrap_label(text, 24)) * LINE / height for _, _, text, _ in placed]
    centres = spread([end[0] for end in placed], heights)
    low, high = ax.get_xlim()
    for (y, x, text, style), centre in zip(placed, centres, strict=True):
        start = (x - low) / (high - low)
        ax.plot(
            [max(start, 0), 1.012, 1.03],
            [y, centre if start > 0.98 else y, centre],
            transform=ax.transAxes,
            color=style.colour,
            lw=0.9,
            ls=(0, (1, 1.5)) if start < 0.98 else "-",
            clip_on=False,
            zorder=2,
        )
        ax.text(
            1.036,
            centre,
            "\n".join(wrap_label(text, 24)),
            transform=ax.transAxes,
            va="center",
            ha="left",
            color=INK,
            linespacing=1.1,
        )


def spread(centres: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Centres in ascending order moved as little as a simple pass can so that boxes of these heights don't overlap.

    Blocks of boxes that touch stay centred on the mean of where they wanted to be.
    """
    blocks: list[tuple[list[int], float]] = []
    for index, centre in enumerate(centres):
        members, middle = [index], centre
        while blocks and middle - _sum(heights, members) / 2 < blocks[-1][1] + _sum(heights, blocks[-1][0]) / 2:
            before, _ = blocks.pop()
            members = before + members
            middle = sum(centres[member] for member in members) / len(members)
        blocks.append((members, middle))
    out: list[float] = []
    for members, middle in blocks:
        edge = middle - _sum(heights, members) / 2
        for member in members:
            out.append(edge + heights[member] / 2)
            edge += heights[member]
    return out


def wrap_label(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=True, max_lines=3, placeholder=" …") or [""]


def _fraction(ax: Axes, y: float) -> float:
    """Where `y` lies between the limits of the axis, 0 at the bottom and 1 at the top."""
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log":
        low, high, y = math.log(low), math.log(high), math.log(max(y, 1e-300))
    return min(max((y - low) / (high - low), 0.0), 1.0)


def _sum(heights: Sequence[float], members: Sequence[int]) -> float:
    return sum(heights[member] for member in members)
