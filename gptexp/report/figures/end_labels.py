"""Names at the ends of lines, moved apart where they would overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes

from gptexp.report.figures.lettering import measure_room, wrap_label
from gptexp.report.live import tag_series
from gptexp.report.palette import INK, ArmStyle

LINE = 17
"""Height of a line of text."""


def measure_labels(labels: Sequence[str], width: int = 24) -> float:
    """Pixels that `label_ends` needs at the right of a panel for these labels."""
    return measure_room((line for label in labels for line in wrap_label(label, width)), 38, 29)


def measure_column(labels: Sequence[str], width: int = 24) -> float:
    """Height of these labels above each other, in pixels; a panel beside them is at least that high."""
    return sum(len(wrap_label(label, width)) for label in labels) * LINE


@dataclass(frozen=True)
class Name:
    """What a line is called: at its end on a wide page, in the legend on a narrow one."""

    text: str
    style: ArmStyle
    end: tuple[float, float] | None
    """The last point of the line; None where nothing of it is drawn."""
    marker: str | None = None
    """Shown in the legend."""


def label_ends(ax: Axes, names: Sequence[Name], height: float) -> None:
    """Name lines at the right of a panel, moved apart where they would overlap.

    Call it after the limits of both axes are set. Names stay above the numbers of the axis and inside the figure.

    Args:
        height: of the panel, in pixels.
    """
    ends = [(_fraction(ax, "x", name.end[0]), _fraction(ax, "y", name.end[1]), name) for name in names if name.end]
    ends.sort(key=lambda end: end[1])
    heights = [len(wrap_label(name.text, 24)) * LINE / height for _, _, name in ends]
    frame = ax.get_position()
    centres = spread([y for _, y, _ in ends], heights, 0.0, (1 - frame.y0) / frame.height)
    for (start, y, name), centre in zip(ends, centres, strict=True):
        is_near = start > 0.98
        across, up = [start, 1.012, 1.03], [y, centre if is_near else y, centre]
        look: dict[str, Any] = {"color": name.style.colour, "lw": 0.9, "ls": "-" if start >= 0.98 else (0, (1, 1.5))}
        (leader,) = ax.plot(across, up, transform=ax.transAxes, **look, clip_on=False, zorder=2)
        words = "\n".join(wrap_label(name.text, 24))
        text = ax.text(1.036, centre, words, transform=ax.transAxes, va="center", ha="left", color=INK, linespacing=1.1)
        for artist in (leader, text):
            tag_series(artist, arm=name.text, role="name")


def spread(
    centres: Sequence[float], heights: Sequence[float], low: float = -math.inf, high: float = math.inf
) -> list[float]:
    """Move centres, given in ascending order, so that boxes of these heights don't overlap.

    Boxes that would overlap form a block, which is centred on the mean of their centres and kept between `low` and
    `high` where there is room.
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
    """Boxes that touch each other."""

    count: int
    height: float
    wanted: float
    """The sum of the centres that they wanted."""
    low: float
    high: float

    @property
    def middle(self) -> float:
        """Their common centre: the mean of the wanted ones, inside the bounds."""
        return max(min(self.wanted / self.count, self.high - self.height / 2), self.low + self.height / 2)


def _fraction(ax: Axes, which: Literal["x", "y"], value: float) -> float:
    """Where `value` lies between the limits of an axis, 0 at the left or bottom and 1 at the right or top."""
    (low, high), scale = (ax.get_xlim(), ax.get_xscale()) if which == "x" else (ax.get_ylim(), ax.get_yscale())
    if scale == "log":
        low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
    return min(max((value - low) / (high - low), 0.0), 1.0)
