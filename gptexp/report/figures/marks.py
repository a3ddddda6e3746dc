"""What a panel shows, as plain data: lines, bands, intervals, rules, words and histograms. Each can draw itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from gptexp.report.live import tag_series
from gptexp.report.palette import ALERT, INK, PAPER, ArmStyle

Dash = str | tuple[float, tuple[float, ...]]
DASHED: Dash = (0, (4, 2))
DOTTED: Dash = (0, (1.2, 1.6))
Units = Literal["data", "height", "width"]
"""What positions count in: "height" means that y is a share of the panel's height, "width" that x is one of its width.
The other one stays in data units."""


@dataclass(frozen=True)
class Look:
    """How a line and its markers look. Sizes are pixels."""

    colour: str
    width: float = 2
    dash: Dash = "-"
    """"none": markers without a line."""
    alpha: float | None = None
    marker: str | None = None
    size: float = 7
    face: str | None = None
    """Inside of a marker; None is the colour of the line, and so it is for the edge."""
    edge: str | None = None
    edge_width: float = 1

    def to_matplotlib(self) -> dict[str, Any]:
        """The arguments of matplotlib's Line2D."""
        face, edge = self.face or self.colour, self.edge or self.colour
        line = {"color": self.colour, "lw": self.width, "ls": self.dash, "alpha": self.alpha}
        return {**line, "marker": self.marker, "ms": self.size, "mfc": face, "mec": edge, "mew": self.edge_width}


def style_line(style: ArmStyle, width: float = 2, marker: str | None = None) -> Look:
    """An arm's line with its dash; with a marker, hollow ones as a legend shows them."""
    dash: Dash = (0, style.dash) if style.dash else "-"
    return Look(style.colour, width, dash, marker=marker, size=6, face=PAPER, edge_width=1.6)


def fill_dots(colour: str, marker: str = "o", size: float = 7) -> Look:
    """Filled markers without a line."""
    return Look(colour, dash="none", marker=marker, size=size, edge=PAPER)


def ring_dots(colour: str, marker: str = "o", size: float = 7, edge_width: float = 1.6) -> Look:
    """Hollow markers without a line."""
    return Look(colour, 0, "none", marker=marker, size=size, face=PAPER, edge_width=edge_width)


END = replace(fill_dots(ALERT, "X", 10), edge_width=1.2)
"""The point at which a run diverged."""
STOP = Look(INK, dash="none", marker="|", size=16, edge_width=2)
"""The point to which a run was trained so far: a bar across its line."""


@dataclass(frozen=True)
class Series:
    """What a line belongs to."""

    arm: str
    """The arm's label."""
    role: str
    """train (smoothed), raw, val, pin or name."""
    run: str = ""
    """Of several runs the first."""
    points: str = ""
    """What was measured, as JSON, where positions don't say it exactly."""

    def spell(self) -> dict[str, str]:
        """As attributes; empty ones are left out."""
        return {name: value for name, value in vars(self).items() if value}


class Mark(Protocol):
    """Something that a panel shows."""

    def draw(self, ax: Axes) -> None:
        """Add it to the axes."""


@dataclass(frozen=True)
class Line:
    """Points, joined or not as its look says."""

    x: npt.ArrayLike
    y: npt.ArrayLike
    look: Look
    z: float = 2
    """What has a higher z lies above."""
    units: Units = "data"
    overlap: bool = False
    """Markers on the edge of the panel are drawn whole."""
    flat_ends: bool = False
    series: Series | None = None
    """What a script may read or switch off; None for what stays as it is."""

    def draw(self, ax: Axes) -> None:
        more: dict[str, Any] = {} if self.units == "data" else {"transform": _find_transform(ax, self.units)}
        if self.flat_ends:
            more["solid_capstyle"] = "butt"
        (line,) = ax.plot(self.x, self.y, **self.look.to_matplotlib(), zorder=self.z, clip_on=not self.overlap, **more)
        if self.series:
            tag_series(line, **self.series.spell())


@dataclass(frozen=True)
class Band:
    """An area between two lines."""

    x: npt.ArrayLike
    low: npt.ArrayLike
    high: npt.ArrayLike
    colour: str
    alpha: float
    z: float = 1

    def draw(self, ax: Axes) -> None:
        ax.fill_between(self.x, self.low, self.high, color=self.colour, alpha=self.alpha, lw=0, zorder=self.z)


@dataclass(frozen=True)
class Intervals:
    """Upright bars from a low to a high value."""

    x: npt.ArrayLike
    low: npt.ArrayLike
    high: npt.ArrayLike
    colour: str
    width: float = 5
    alpha: float | None = 0.35
    z: float = 2

    def draw(self, ax: Axes) -> None:
        ax.vlines(self.x, self.low, self.high, color=self.colour, lw=self.width, alpha=self.alpha, zorder=self.z)


@dataclass(frozen=True)
class Words:
    """A text at a point."""

    x: float
    y: float
    text: str
    shift: tuple[float, float] = (0, 0)
    """Pixels from the point, to the right and up."""
    align: str = "left"
    upright: str = "center"
    """Which part of the text stands at the height of the point."""
    colour: str = INK
    bold: bool = False
    size: float = 12
    z: float = 3
    units: Units = "data"

    def draw(self, ax: Axes) -> None:
        ax.annotate(
            self.text,
            (self.x, self.y),
            self.shift,
            xycoords=_find_transform(ax, self.units),
            textcoords="offset points",
            ha=self.align,
            va=self.upright,
            color=self.colour,
            fontweight="bold" if self.bold else "normal",
            fontsize=self.size,
            zorder=self.z,
        )


@dataclass(frozen=True)
class Bins:
    """A histogram that is counted already."""

    edges: Sequence[float]
    """Of the bins, one more than there are counts."""
    counts: npt.ArrayLike
    colour: str

    def draw(self, ax: Axes) -> None:
        # Only here: importing seaborn takes half a second.
        import seaborn as sns

        starts, look = list(self.edges[:-1]), {"alpha": 0.75, "edgecolor": PAPER, "linewidth": 0.6}
        # seaborn takes edges of bins as logarithms where the axis is logarithmic already: the scale is set afterwards.
        sns.histplot(x=starts, weights=np.asarray(self.counts), bins=list(self.edges), ax=ax, color=self.colour, **look)


@dataclass(frozen=True)
class Cells:
    """Rectangles of height 1 in one row, each as wide as its step lasts."""

    x: npt.ArrayLike
    """Their left edges."""
    widths: npt.ArrayLike
    row: float
    """The middle of the row."""
    colour: str
    alpha: float
    is_frame: bool = False
    """Only their outlines."""

    def draw(self, ax: Axes) -> None:
        spans = list(zip(np.asarray(self.x).tolist(), np.asarray(self.widths).tolist(), strict=True))
        look: dict[str, Any] = {"facecolors": self.colour, "linewidth": 0, "alpha": self.alpha, "zorder": 2}
        if self.is_frame:
            look = {"facecolors": "none", "edgecolors": self.colour, "linewidth": 2, "zorder": 6}
        ax.broken_barh(spans, (self.row - 0.5, 1), **look)


def _find_transform(ax: Axes, units: Units) -> Any:
    return {"data": ax.transData, "height": ax.get_xaxis_transform(), "width": ax.get_yaxis_transform()}[units]


def cap_at(top: float, x: npt.ArrayLike, y: npt.ArrayLike, look: Look, z: float = 5) -> list[Line]:
    """Dots, those above `top` as triangles at that edge."""
    across, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    beyond = values > top
    edge = np.full(beyond.sum(), top)
    return [
        Line(across[~beyond], values[~beyond], look, z=z, overlap=True),
        Line(across[beyond], edge, replace(look, marker="^"), z=z, overlap=True),
    ]


def rule(at: float, look: Look, z: float = 2) -> Line:
    """A line across the whole panel at a value of y."""
    return Line([0, 1], [at, at], look, z, units="width")


def upright_rule(at: float, look: Look, z: float = 2) -> Line:
    """A line over the whole height of the panel at a value of x."""
    return Line([at, at], [0, 1], look, z, units="height")
