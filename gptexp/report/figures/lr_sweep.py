"""Where the trials of a sweep ended, against their learning rate."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from gptexp.measures.stats import estimate_mean
from gptexp.report.figures.canvas import DPI, Drawing, Layout, format_axis, mark_end, start_panels
from gptexp.report.figures.end_labels import label_ends, measure_column, measure_labels
from gptexp.report.figures.legend import Key, line_style, make_end_key, make_line
from gptexp.report.figures.lettering import fit_label
from gptexp.report.palette import MUTED, PAPER, ArmStyle, style_arm
from gptexp.wording import count_things, write_loss, write_rate

MOST_LINES = 12
"""Combinations of the other parameters up to which each gets a line of its own."""
TOP_SHARE = 0.6
"""Losses are shown up to the highest among this share of the trials, the best, and half their spread above."""


def lr_sweep(trials: pd.DataFrame, metric: str, name: str) -> Drawing | None:
    """The metric of every trial against its peak learning rate; None where no trial has both.

    Args:
        trials: trial, run_id, outcome, lr, series (the other parameters as text) and value (the metric; infinite for a
            diverged trial), one row per trial that has a result.
        metric: as the axis names it.
        name: of the sweep.
    """
    data = trials.sort_values(["series", "lr"], ignore_index=True)
    ended = data[np.isfinite(data["value"])]
    if ended.empty:
        return None
    groups = list(dict.fromkeys(data["series"]))
    if len(groups) > MOST_LINES or len(groups) == len(data) > 1:
        groups = []
    best = ended.loc[ended["value"].idxmin()]
    pruned = " Hollow: stopped early, at its last evaluation." if (data["outcome"] == "pruned").any() else ""
    diverged = int((data["outcome"] == "diverged").sum())
    repeated = bool(groups) and bool(data.duplicated(["series", "lr"]).any())
    seeds = " The line is the mean over the seeds of a rate, the bar its 95% interval." if repeated else ""
    if groups:
        bands = [average_trials(rows).assign(series=group) for group, rows in ended.groupby("series")]
        data = data.merge(pd.concat(bands), on=["series", "lr"], how="left")
    return Drawing(
        name="lr-sweep",
        title=f"Sweep {name}: {metric} against peak learning rate",
        caption=f"Each dot is one trial.{seeds}{pruned} A cross at the top is a trial that diverged; a triangle there "
        "is a loss above the axis.",
        description=f"{count_things(len(data), 'trial')}, {diverged} diverged. Lowest {metric} "
        f"{write_loss(best['value'])} at lr {write_rate(best['lr'])}"
        + (f", {best['series']}." if best["series"] else "."),
        data=data,
        run_ids=tuple(data["run_id"]),
        draw=partial(_draw_sweep, data, metric, groups),
    )


def _draw_sweep(data: pd.DataFrame, metric: str, groups: list[str], layout: Layout) -> Figure:
    end_labels = layout.labels_at_ends and len(groups) > 1
    styles = {group: style_arm(index) for index, group in enumerate(groups or [""])}
    keys = []
    if len(groups) > 1 and not end_labels:
        keys = [Key(group or "trials", make_line(style, marker=style.marker)) for group, style in styles.items()]
    if (data["outcome"] == "pruned").any():
        keys.append(Key("stopped early", Line2D([], [], ls="none", marker="o", ms=7, mfc=PAPER, mec=MUTED, mew=1.6)))
    if (data["outcome"] == "diverged").any():
        keys.append(make_end_key())
    least, right = (measure_column(groups), measure_labels(groups)) if end_labels else (0, 16)
    figure, (ax,) = start_panels(layout, keys=keys, least=least, right=right, top=14)
    ax.set_xscale("log")
    left, right = float(data["lr"].min() / 1.25), float(data["lr"].max() * 1.25)
    ax.set_xlim(left, right)
    bottom, top = _limit_values(data["value"])
    ax.set_ylim(bottom, top)
    ends = []
    for group, style in styles.items():
        last = _draw_group(ax, data[data["series"] == group] if groups else data, style, joined=bool(groups))
        if last:
            # label_ends reckons in a linear axis: the same share of the width there.
            share = np.log(last[0] / left) / np.log(right / left)
            ends.append((left + share * (right - left), last[1], group, style))
    for _, row in data[data["outcome"] == "diverged"].iterrows():
        mark_end(ax, row["lr"], top)
    format_axis(ax, "x", log=True)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: write_rate(value)))
    format_axis(ax, "y")
    ax.set_xlabel("peak learning rate")
    ax.set_ylabel(fit_label(metric, layout.height * 0.8))
    if end_labels:
        label_ends(ax, ends, figure.get_size_inches()[1] * DPI * ax.get_position().height)
    return figure


def _draw_group(ax: Axes, rows: pd.DataFrame, style: ArmStyle, *, joined: bool) -> tuple[float, float] | None:
    """Draw the trials of one line; returns its last point, None where all diverged."""
    top = ax.get_ylim()[1]
    inside = rows[np.isfinite(rows["value"])]
    if joined:
        means = average_trials(inside)
        ax.plot(means["lr"], means["mean"], color=style.colour, lw=2, ls=line_style(style), zorder=3)
        ax.vlines(means["lr"], means["low"], means["high"], color=style.colour, lw=5, alpha=0.35, zorder=2)
    for lr, value, outcome in zip(inside["lr"], inside["value"], inside["outcome"], strict=True):
        face = PAPER if outcome == "pruned" else style.colour
        at, marker = min(value, top), "^" if value > top else style.marker
        ax.plot([lr], [at], marker=marker, ms=7, mfc=face, mec=style.colour, mew=1.6, zorder=5, clip_on=False)
    return (float(lr), float(at)) if len(inside) else None


def average_trials(rows: pd.DataFrame) -> pd.DataFrame:
    """lr, mean, low, high (95%) of the completed trials of a line; trials at the same rate are its seeds."""
    completed = rows[rows["outcome"] == "completed"]
    found = []
    for lr, same in completed.groupby("lr"):
        interval = estimate_mean(same["value"].tolist())
        found.append([lr, interval.mean, interval.low, interval.high])
    return pd.DataFrame(found, columns=["lr", "mean", "low", "high"], dtype=float)


def _limit_values(values: pd.Series) -> tuple[float, float]:
    """The loss axis: a few rates that are far too high don't press the others together."""
    finite = np.sort(values[np.isfinite(values)].to_numpy(dtype=float))
    low, near = finite[0], finite[int(np.ceil(TOP_SHARE * len(finite))) - 1]
    top = min(finite[-1], near + 1.5 * (near - low)) if near > low else finite[-1]
    room = max((top - low) * 0.08, 0.02)
    return float(low - room), float(top + room)
