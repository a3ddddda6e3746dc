"""The axes of a panel, as plain data: limits, scale, ticks, label, and what they mean in another unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from gptexp.measures.curves import Floats
from gptexp.report.palette import GRID, MUTED
from gptexp.wording import write_rate


def _write_plain(value: float) -> str:
    """`0.1`, `1`, `10,000`."""
    return f"{value:,.10g}"


@dataclass(frozen=True)
class Axis:
    """One axis of a panel."""

    low: float
    high: float
    label: str = ""
    scale: Literal["linear", "log", "root"] = "linear"
    """"root": a square root, which gives early steps room."""
    write: Callable[[float], str] = _write_plain
    ticks: int = 5
    """How many at most."""
    leads: tuple[float, ...] | None = (1, 2, 2.5, 5, 10)
    """First digits that ticks may have; None leaves them to matplotlib, for axes of few whole numbers."""
    whole: bool = False
    """Ticks at whole numbers only."""
    at: tuple[float, ...] = ()
    """Where the ticks stand; empty chooses."""


def make_step_axis(last_step: float) -> Axis:
    """Optimizer steps, from 0 to a little behind the last one."""
    return Axis(0, max(last_step, 1) * 1.005, "step", whole=True)


def make_loss_axis(values: npt.ArrayLike, share: float, nats: str) -> Axis:
    """Losses, with so large a share of their range as room on both sides. What isn't finite doesn't count.

    Args:
        nats: their unit, as `Unit.nats` writes it.
    """
    array = np.asarray(values, dtype=float)
    finite = array[np.isfinite(array)]
    room = share * (finite.max() - finite.min())
    return Axis(finite.min() - room, finite.max() + room, f"loss ({nats})")


def make_rate_axis(top: float) -> Axis:
    """Learning rates from 0 on."""
    return Axis(0, top, "learning rate", write=write_rate, ticks=4, leads=(1, 2, 5, 10))


def draw_axis(ax: Axes, which: Literal["x", "y"], axis: Axis) -> None:
    """Give an axis of a panel its scale, limits, ticks and label."""
    target: Any = ax.xaxis if which == "x" else ax.yaxis
    set_scale: Any = ax.set_xscale if which == "x" else ax.set_yscale
    if axis.scale == "log":
        set_scale("log")
    elif axis.scale == "root":
        set_scale("function", functions=(_root, np.square))
    (ax.set_xlim if which == "x" else ax.set_ylim)(axis.low, axis.high)
    target.set_major_formatter(FuncFormatter(lambda value, _: axis.write(value)))
    target.set_minor_formatter(NullFormatter())
    if axis.at:
        target.set_major_locator(FixedLocator(axis.at))
    elif axis.scale == "log":
        target.set_major_locator(LogLocator(subs=(1, 2, 5) if axis.high < 30 * axis.low else (1,), numticks=5))
        target.set_minor_locator(FixedLocator([]))
    else:
        target.set_major_locator(MaxNLocator(axis.ticks, integer=axis.whole, steps=axis.leads))
    target.set_label_text(axis.label)


def _root(values: npt.ArrayLike) -> Floats:
    return np.sqrt(np.maximum(np.asarray(values, dtype=np.float64), 0.0))


@dataclass(frozen=True)
class Conversion:
    """What an axis means in another unit: the x axis at the top of a panel, the y axis on its right."""

    rate: float
    """Other units per unit of the axis."""
    label: str


def draw_conversion(ax: Axes, conversion: Conversion, *, right: bool = False) -> None:
    """A second axis at the top of a panel, or on its right."""

    def convert(values: npt.ArrayLike) -> Floats:
        return np.asarray(values, dtype=np.float64) * conversion.rate

    def convert_back(values: npt.ArrayLike) -> Floats:
        return np.asarray(values, dtype=np.float64) / conversion.rate

    if right:
        second: Any = ax.secondary_yaxis("right", functions=(convert, convert_back))
        second.set_ylabel(conversion.label, color=MUTED, labelpad=6)
    else:
        second = ax.secondary_xaxis("top", functions=(convert, convert_back))
        second.set_xlabel(conversion.label, color=MUTED, labelpad=6)
    axis = second.yaxis if right else second.xaxis
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _write_plain(value)))
    second.tick_params(colors=MUTED, length=3)
    second.spines["right" if right else "top"].set(visible=True, color=GRID)


def draw_perplexity(ax: Axes) -> None:
    """What the losses of the left axis mean as perplexity, e^loss, on the right. Call it after the limits are set."""
    low, high = ax.get_ylim()
    ticks = [lead * 10**power for power in range(8) for lead in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= math.log(tick) <= high]
    while len(shown) > 6:
        shown = shown[::-2][::-1]
    right = ax.twinx()
    right.set_ylim(low, high)
    right.set_yticks([math.log(tick) for tick in shown], [f"{tick:,}" for tick in shown])
    right.set_ylabel("perplexity")
    right.spines[["top", "right", "left"]].set_visible(False)
    right.tick_params(length=0)
    ax.set_zorder(right.get_zorder() + 1)
