"""The final val loss of a ladder's arms against their peak learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from gptexp.measures.ladder import Ladder, read_ladder
from gptexp.report.figures.canvas import Drawing, Layout, format_axis, mark_end, start_panels
from gptexp.report.figures.legend import Key, line_style, make_end_key, make_line
from gptexp.report.palette import MUTED, PAPER, ArmStyle, style_arm
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import count_things, write_interval, write_loss, write_rate

APART = 1.045
"""By which factor neighbouring series stand apart on the rate axis, so that their intervals don't cover each other."""


def lr_ladder(study: StudyRuns) -> Drawing | None:
    """Final val loss against the rate, a line per series; None for a study that is no ladder."""
    ladder = read_ladder(study)
    if ladder is None:
        return None
    several = ladder.points["n_completed"].max() > 1
    shown = (
        "Small dots: seeds. Large: their mean, with its 95% interval."
        if several
        else "One seed: a direction, no interval."
    )
    return Drawing(
        name="lr-ladder",
        title="Final val loss against the peak learning rate",
        caption=f"{shown} Dotted: the loss before the first step. A cross at the top edge: runs diverged there, with "
        "how many of each line; a triangle at the edge: a loss above it.",
        description=f"Before the first step {write_loss(ladder.initial_loss)}. " + " ".join(_describe(ladder)),
        data=_tabulate(ladder),
        run_ids=tuple(study.run_ids),
        draw=partial(_draw, ladder),
    )


def _tabulate(ladder: Ladder) -> pd.DataFrame:
    """One row per run, with mean and interval of its arm beside it."""
    points = ladder.points.drop(columns=["label", "series", "lr", "diverged_steps"])
    return ladder.runs.merge(points, on="arm").assign(initial_loss=ladder.initial_loss)


def _describe(ladder: Ladder) -> list[str]:
    texts = []
    for name in ladder.series:
        parts = []
        for _, row in ladder.points[ladder.points["series"] == name].sort_values("lr").iterrows():
            interval = write_interval(row["final_val_loss_low"], row["final_val_loss_high"])
            text = f"{write_rate(row['lr'])}: {write_loss(row['final_val_loss_mean'])} {interval}".strip()
            diverged = f", {row['n_diverged']} of {count_things(row['n_runs'], 'run')} diverged"
            parts.append(text + (diverged if row["n_diverged"] else ""))
        texts.append(f"{name or 'By rate'}: {'; '.join(parts)}.")
    return texts


def _draw(ladder: Ladder, layout: Layout) -> Figure:
    styles = {name: style_arm(index) for index, name in enumerate(ladder.series)}
    keys = [Key(name, make_line(style, marker=style.marker)) for name, style in styles.items() if name]
    keys.append(Key("before the first step", Line2D([], [], color=MUTED, lw=1.4, ls=(0, (1.2, 1.6)))))
    if ladder.points["n_diverged"].any():
        keys.append(make_end_key())
    figure, (ax,) = start_panels(layout, keys=keys, top=14 + 17 * len(styles), right=20)
    losses = ladder.runs["final_val_loss"].to_numpy(dtype=float)
    low = float(np.nanmin(losses))
    room = 0.06 * max(ladder.initial_loss - low, 0.05)
    ax.set_xscale("log")
    ax.set_xlim(float(ladder.points["lr"].min()) / 1.5, float(ladder.points["lr"].max()) * 1.5)
    ax.set_ylim(low - room, max(ladder.initial_loss, low) + 2 * room)
    ax.axhline(ladder.initial_loss, color=MUTED, lw=1.4, ls=(0, (1.2, 1.6)), zorder=2)
    for place, (name, style) in enumerate(styles.items()):
        shift = APART ** (2 * place - len(styles) + 1)
        own = ladder.runs[ladder.runs["series"] == name]
        _draw_series(ax, ladder.points[ladder.points["series"] == name].sort_values("lr"), own, style, shift)
    _count_divergences(ax, ladder, styles, layout)
    format_axis(ax, "x", log=True)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: write_rate(value)))
    format_axis(ax, "y")
    ax.set_xlabel("peak learning rate")
    ax.set_ylabel("final val loss (nats per token)")
    return figure


def _draw_series(ax: Axes, points: pd.DataFrame, runs: pd.DataFrame, style: ArmStyle, shift: float) -> None:
    top = ax.get_ylim()[1]
    rates, means = points["lr"].to_numpy() * shift, points["final_val_loss_mean"].to_numpy(dtype=float)
    ax.plot(rates, means, color=style.colour, lw=2, ls=line_style(style), zorder=3)
    ax.vlines(rates, points["final_val_loss_low"], points["final_val_loss_high"], color=style.colour, lw=5, alpha=0.35)
    if points["n_completed"].max() > 1:
        ax.plot(runs["lr"] * shift, runs["final_val_loss"], ls="none", marker="o", ms=3, color=style.colour, zorder=4)
    dots: dict[str, Any] = {
        "ls": "none",
        "ms": 7,
        "mfc": PAPER,
        "mec": style.colour,
        "mew": 1.6,
        "zorder": 5,
        "clip_on": False,
    }
    inside = means <= top
    ax.plot(rates[inside], means[inside], marker=style.marker, **dots)
    ax.plot(rates[means > top], np.full((means > top).sum(), top), marker="^", **dots)


def _count_divergences(ax: Axes, ladder: Ladder, styles: Mapping[str, ArmStyle], layout: Layout) -> None:
    """A cross at the top edge of each rate at which runs diverged, and over it how many of how many of each series."""
    top, between = ax.get_ylim()[1], " of " if layout.labels_at_ends else "/"
    for rate, rows in ladder.points[ladder.points["n_diverged"] > 0].groupby("lr"):
        mark_end(ax, float(str(rate)), top)
        for line, (_, row) in enumerate(rows.iterrows()):
            text, colour = f"{row['n_diverged']}{between}{row['n_runs']}", styles[row["series"]].colour
            place: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "bottom"}
            ax.annotate(text, (row["lr"], top), (0, 8 + 15 * line), color=colour, **place)
