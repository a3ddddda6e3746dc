"""Names at the ends of lines, moved apart where they would overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from gptexp.report.figures.lettering import measure_room, wrap_label
from gptexp.report.palette import INK, ArmStyle

LINE = 17
"""Height of a line of text."""


def measure_labels(labels: Sequence[str], width: int = 24) -> float:
    """Pixels that `label_ends` needs at the right of a panel for these labels."""
    return measure_room((line for label in labels for line in wrap_label(label, width)), 38, 29)


def measure_column(labels: Sequence[str], width: int = 24) -> float:
    """Pixels that these labels take above each other: a panel beside them is at least that high."""
    return sum(len(wrap_label(label, width)) for label in labels) * LINE


def label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, ArmStyle]], height: float) -> None:
    """Name lines at the right of a panel: (x, y, text, style) each, moved apart where they would overlap.

    Call it after the limits of both axes are set. None leaves the figure above or below.

    Args:
        height: of the panel, in pixels.
    """
    placed = sorted(((_fraction(ax, y), x, text, style) for x, y, text, style in ends), key=lambda end: end[0])
    heights = [len(wrap_label(text, 24)) * LINE / height for _, _, text, _ in placed]
    frame = ax.get_position()
    centres = spread([end[0] for end in placed], heights, -frame.y0 / frame.height, (1 - frame.y0) / frame.height)
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


def spread(
    centres: Sequence[float], heights: Sequence[float], low: float = -math.inf, high: float = math.inf
) -> list[float]:
    """Centres in ascending order moved as little as a simple pass can so that boxes of these heights don't overlap.

    Blocks of boxes that touch stay centred on the mean of where they wanted to be, and between `low` and `high` where
    there is room.
    """
    blocks: list[_Boxes] = []
    for centre, height in zip(centres, heights, strict=True):
        block = _Boxes(1, height, centre, low, high)
        while blocks and block.middle - block.height / 2 < blocks[-1].middle + blocks[-1].height / 2:
            before = blocks.pop()
            block = _Boxes(
                before.count + block.count, before.height + block.height, before.wanted + block.wanted, low, high
            )
        blocks.append(block)
    out: list[float] = []
    for block in blocks:
        edge = block.middle - block.height / 2
        for height in heights[len(out) : len(out) + block.count]:
            out.append(edge + height / 2)
            edge += height
    return out


@dataclass(frozen=True)
class _Boxes:
    """Boxes that touch."""

    count: int
    height: float
    wanted: float
    """The sum of the centres that they wanted."""
    low: float
    high: float

    @property
    def middle(self) -> float:
        """Where their common centre lies: where they wanted it, inside the bounds."""
        return max(min(self.wanted / self.count, self.high - self.height / 2), self.low + self.height / 2)


def _fraction(ax: Axes, y: float) -> float:
    """Where `y` lies between the limits of the axis, 0 at the bottom and 1 at the top."""
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log":
        low, high, y = math.log(low), math.log(high), math.log(max(y, 1e-300))
    return min(max((y - low) / (high - low), 0.0), 1.0)
