"""The final val loss of a ladder's arms against their peak learning rate."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gptexp.comparisons.ladder import Ladder, read_ladder
from gptexp.report.figures.axes import Axis
from gptexp.report.figures.bands import BAND_SEEDS
from gptexp.report.figures.canvas import Drawing, Layout
from gptexp.report.figures.legend import DIVERGED, Key
from gptexp.report.figures.marks import (
    DASHED,
    DOTTED,
    END,
    Intervals,
    Line,
    Look,
    Mark,
    Series,
    Words,
    cap_at,
    ring_dots,
    rule,
    style_line,
)
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import MUTED, ArmStyle, style_arm
from gptexp.report.units import find_unit
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import ONE_SEED, count_things, write_interval, write_loss, write_rate

APART = 1.045
"""Neighbouring series are shifted by this factor on the rate axis, so that their intervals don't cover each other."""


def lr_ladder(study: StudyRuns) -> Drawing | None:
    """Final val loss against the rate, a line per series; None for a study that is no ladder."""
    ladder = read_ladder(study)
    if ladder is None:
        return None
    most = ladder.points["n_completed"].max()
    interval = ", with its 95% interval" if most >= BAND_SEEDS else ""
    shown = f"Small dots: seeds. Large: their mean{interval}." if most > 1 else ONE_SEED
    return Drawing(
        name="lr-ladder",
        title="Final val loss against the peak learning rate",
        caption=f"{shown} Dotted: the loss before the first step. {_explain_bigram(ladder)}{_explain_edge(ladder)}",
        description=f"Before the first step {write_loss(ladder.initial_loss)}. " + " ".join(_describe(ladder)),
        data=_tabulate(ladder),
        run_ids=tuple(study.run_ids),
        draw=partial(_draw, ladder, find_unit(study.runs, "val").nats),
    )


def _explain_bigram(ladder: Ladder) -> str:
    if math.isnan(ladder.bigram_loss):
        return ""
    return f"Dashed: {write_loss(ladder.bigram_loss)}, the bigram loss; a run that ends above it has failed. "


def _explain_edge(ladder: Ladder) -> str:
    """What stands at the top edge, and that the lines stand beside each other."""
    apart = (
        "The lines are moved a little sideways, so that they don't cover each other. " if len(ladder.series) > 1 else ""
    )
    crosses = "A cross at the top edge: runs diverged there, with how many of each line. "
    diverged = crosses if ladder.points["n_diverged"].any() else ""
    (low, high), bars = _limit_losses(ladder), _with_interval(ladder.points)
    is_cut = (bars["final_val_loss_low"] < low).any() or (bars["final_val_loss_high"] > high).any()
    cut = " An interval that is wider than the axis ends at its edge." if is_cut else ""
    return f"{apart}{diverged}A loss above the axis would be a triangle at its edge.{cut}"


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


def _draw(ladder: Ladder, nats: str, layout: Layout) -> Figure:
    styles = {name: style_arm(index) for index, name in enumerate(ladder.series)}
    initial = Look(MUTED, 1.4, DOTTED)
    keys = [Key(name, style_line(style, 2.2, style.marker)) for name, style in styles.items() if name]
    keys.append(Key("before the first step", initial))
    bigram = Look(MUTED, 1.4, DASHED)
    if not math.isnan(ladder.bigram_loss):
        keys.append(Key("bigram loss", bigram))
    if ladder.points["n_diverged"].any():
        keys.append(DIVERGED)
    y = Axis(*_limit_losses(ladder), f"final val loss ({nats})")
    rates = ladder.points["lr"]
    x = Axis(float(rates.min()) / 1.5, float(rates.max()) * 1.5, "peak learning rate", "log", write_rate)
    marks: list[Mark] = [rule(ladder.initial_loss, initial)]
    if y.low < ladder.bigram_loss < y.high:
        marks.append(rule(ladder.bigram_loss, bigram))
    for place, (name, style) in enumerate(styles.items()):
        shift = APART ** (2 * place - len(styles) + 1)
        own = ladder.runs[ladder.runs["series"] == name]
        points = ladder.points[ladder.points["series"] == name].sort_values("lr")
        marks += _list_marks(name, points, own, style, shift, y.high)
    marks += _count_divergences(ladder, styles, y.high, " of " if layout.is_wide else "/")
    counts = 17 * len(styles) if ladder.points["n_diverged"].any() else 0
    return draw_plot(Plot([Panel(marks, x, y)], keys, top=14 + counts, right=20), layout)


def _limit_losses(ladder: Ladder) -> tuple[float, float]:
    """Limits of the loss axis. A bar may reach below all runs; a very long one is cut, so that lines aren't flat."""
    lowest = float(np.nanmin(ladder.runs["final_val_loss"].to_numpy(dtype=float)))
    height = max(ladder.initial_loss - lowest, 0.05)
    low = max(min([lowest, *_with_interval(ladder.points)["final_val_loss_low"]]), lowest - height / 4)
    return low - 0.06 * height, max(ladder.initial_loss, lowest) + 0.12 * height


def _with_interval(points: pd.DataFrame) -> pd.DataFrame:
    """Those of the points that are drawn with their interval."""
    return points[points["n_completed"] >= BAND_SEEDS]


def _list_marks(
    name: str, points: pd.DataFrame, runs: pd.DataFrame, style: ArmStyle, shift: float, top: float
) -> list[Mark]:
    """One series: the line through its means, their intervals from `BAND_SEEDS` on, and a small dot per seed."""
    rates, means = points["lr"] * shift, points["final_val_loss_mean"]
    pairs = [[lr, mean if np.isfinite(mean) else None] for lr, mean in zip(points["lr"], means, strict=True)]
    measured = json.dumps(pairs)
    marks: list[Mark] = [
        Line(rates, means, style_line(style), z=3, series=Series(name, "val", points=measured)),
    ]
    many = _with_interval(points)
    if len(many):
        ends = (many["final_val_loss_low"], many["final_val_loss_high"])
        marks.append(Intervals(many["lr"] * shift, *ends, style.colour))
    if points["n_completed"].max() > 1:
        dots = Look(style.colour, dash="none", marker="o", size=3)
        marks.append(Line(runs["lr"] * shift, runs["final_val_loss"], dots, z=4))
    return [*marks, *cap_at(top, rates, means, ring_dots(style.colour, style.marker))]


def _count_divergences(ladder: Ladder, styles: Mapping[str, ArmStyle], top: float, between: str) -> list[Mark]:
    """A cross at the top edge of each rate at which runs diverged, and over it how many of how many of each series."""
    marks: list[Mark] = []
    for rate, rows in ladder.points[ladder.points["n_diverged"] > 0].groupby("lr"):
        marks.append(Line([float(str(rate))], [top], END, z=9, overlap=True))
        for line, (_, row) in enumerate(rows.iterrows()):
            text, colour = f"{row['n_diverged']}{between}{row['n_runs']}", styles[row["series"]].colour
            marks.append(Words(row["lr"], top, text, (0, 8 + 15 * line), "center", "bottom", colour))
    return marks
