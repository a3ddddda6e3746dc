"""Where the trials of a sweep ended, against their learning rate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gptexp.comparisons.stats import estimate_mean
from gptexp.report.figures.axes import Axis
from gptexp.report.figures.canvas import Drawing, Layout
from gptexp.report.figures.end_labels import Name
from gptexp.report.figures.legend import DIVERGED, Key
from gptexp.report.figures.lettering import fit_label
from gptexp.report.figures.marks import END, Intervals, Line, Mark, cap_at, ring_dots, style_line
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import MUTED, ArmStyle, style_arm
from gptexp.wording import count_things, write_loss, write_rate

MOST_LINES = 12
"""Up to so many combinations of the other parameters each gets a line of its own."""
TOP_SHARE = 0.6
"""The loss axis fits this share of the trials, the best ones, and 1.5 times their spread above them."""


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
    keys = [Key("stopped early", ring_dots(MUTED))] if (data["outcome"] == "pruned").any() else []
    if (data["outcome"] == "diverged").any():
        keys.append(DIVERGED)
    x = Axis(data["lr"].min() / 1.25, data["lr"].max() * 1.25, "peak learning rate", "log", write_rate)
    y = Axis(*_limit_values(data["value"]), fit_label(metric, layout.height * 0.8))
    marks: list[Mark] = []
    names = []
    for index, group in enumerate(groups or [""]):
        rows, style = data[data["series"] == group] if groups else data, style_arm(index)
        inside = rows[np.isfinite(rows["value"])]
        marks += _list_marks(inside, style, y.high, joined=bool(groups))
        last = inside.iloc[-1] if len(inside) else None
        end = None if last is None else (float(last["lr"]), min(float(last["value"]), y.high))
        names.append(Name(group or "trials", style, end, style.marker))
    diverged = data.loc[data["outcome"] == "diverged", "lr"]
    marks.append(Line(diverged, [y.high] * len(diverged), END, z=9, overlap=True))
    return draw_plot(Plot([Panel(marks, x, y)], keys, names, top=14, right=16), layout)


def _list_marks(rows: pd.DataFrame, style: ArmStyle, top: float, *, joined: bool) -> list[Mark]:
    """The trials of one line that have a loss, those that were stopped early hollow."""
    marks: list[Mark] = []
    if joined:
        means = average_trials(rows)
        marks.append(Line(means["lr"], means["mean"], style_line(style), z=3))
        marks.append(Intervals(means["lr"], means["low"], means["high"], style.colour))
    hollow = ring_dots(style.colour, style.marker)
    for is_hollow, own in rows.groupby(rows["outcome"] == "pruned"):
        look = hollow if is_hollow else replace(hollow, face=style.colour)
        marks += cap_at(top, own["lr"], own["value"], look)
    return marks


def average_trials(rows: pd.DataFrame) -> pd.DataFrame:
    """lr, mean, low, high (95%) of the completed trials of a line; trials at the same rate are its seeds."""
    completed = rows[rows["outcome"] == "completed"]
    found = []
    for lr, same in completed.groupby("lr"):
        interval = estimate_mean(same["value"].tolist())
        found.append([lr, interval.mean, interval.low, interval.high])
    return pd.DataFrame(found, columns=["lr", "mean", "low", "high"], dtype=float)


def _limit_values(values: pd.Series) -> tuple[float, float]:
    """Limits of the loss axis, which a few very high losses must not stretch."""
    finite = np.sort(values[np.isfinite(values)].to_numpy(dtype=float))
    low, near = finite[0], finite[int(np.ceil(TOP_SHARE * len(finite))) - 1]
    top = min(finite[-1], near + 1.5 * (near - low)) if near > low else finite[-1]
    room = max((top - low) * 0.08, 0.02)
    return float(low - room), float(top + room)
