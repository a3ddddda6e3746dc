"""A loss curve with the texts that the model wrote pinned to it."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.measures.curves import centred_mean, choose_smoothing_window, perplexity, thin_curve
from gptexp.report.figures.canvas import (
    Drawing,
    Layout,
    add_perplexity_axis,
    format_axis,
    format_step_axis,
    start_panels,
)
from gptexp.report.figures.legend import Key
from gptexp.report.figures.notes import Note, draw_notes, measure_notes, pin
from gptexp.report.palette import MUTED, style_arm
from gptexp.report.samples import choose_rows, make_visible
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import write_count, write_loss, write_number

NEAR = 0.06
"""Pins at least this share of the axis apart don't hide each other."""
SHOWN = 150
"""Characters of a text at most."""


def pinned_samples(study: StudyRuns) -> Drawing | None:
    """The first arm's loss with its samples as numbered pins, texts below; None without samples or losses."""
    for arm in study.arms:
        pins = _place_samples(study, arm)
        if len(pins) > 1:
            break
    else:
        return None
    return Drawing(
        name="pinned-samples",
        title="The loss falls, and gibberish becomes words",
        caption="The train loss of one run, raw and smoothed, as nats per token and as perplexity: as if the model "
        "chose among so many equally likely tokens. A pin is a text that the model wrote there.",
        description=" ".join(_describe(row) for _, row in pins.iterrows()),
        data=pins,
        run_ids=tuple(dict.fromkeys(pins["run_id"])),
        draw=partial(_draw, study, arm, pins),
    )


def _place_samples(study: StudyRuns, arm: ArmRuns) -> pd.DataFrame:
    """run_id, step, loss, text of the chosen samples of the arm's first seed; the untrained one at its val loss."""
    rows = study.samples[study.samples["arm"] == arm.name]
    rows = choose_rows(rows[rows["seed"] == rows["seed"].min()].sort_values("step", kind="stable"))
    steps = study.steps_of(arm)
    losses = []
    texts = []
    for _, row in rows.iterrows():
        first = arm.runs.loc[arm.runs["run_id"] == row["run_id"], "initial_val_loss"]
        untrained = row["step"] == 0 and math.isnan(row["train_loss"]) and len(first)
        losses.append(float(first.iloc[0]) if untrained else float(row["train_loss"]))
        texts.append(make_visible(_cut(str(row["text"]).removeprefix(str(row["prompt"])))))
    placed = rows[["run_id", "step"]].assign(loss=losses, text=texts)
    if steps.empty:
        return placed.iloc[:0]
    return _thin_out(placed[np.isfinite(placed["loss"])], float(steps["step"].max()))


def _thin_out(placed: pd.DataFrame, last: float) -> pd.DataFrame:
    """Without pins that would lie on the one before; the last one stays."""
    kept: list[int] = []
    for place, step in enumerate(placed["step"]):
        at, is_end = math.sqrt(step / last), place == len(placed) - 1
        while kept and at - math.sqrt(placed["step"].iloc[kept[-1]] / last) < NEAR and is_end:
            kept.pop()
        if not kept or at - math.sqrt(placed["step"].iloc[kept[-1]] / last) >= NEAR:
            kept.append(place)
    return placed.iloc[kept].reset_index(drop=True)


def _cut(text: str) -> str:
    return " ".join(text[: 20 * SHOWN].split())[: 2 * SHOWN]


def _draw(study: StudyRuns, arm: ArmRuns, pins: pd.DataFrame, layout: Layout) -> Figure:
    notes = [_write_note(row) for _, row in pins.iterrows()]
    keys = [
        Key("train, smoothed", Line2D([], [], color=MUTED, lw=2)),
        Key("train, each step", Line2D([], [], color=MUTED, lw=0.9, alpha=0.5)),
    ]
    figure, (ax,) = start_panels(
        layout,
        height=300 if layout.labels_at_ends else 220,
        keys=keys,
        right=66,
        bottom=56 + measure_notes(layout, notes),
    )
    rows = study.steps[study.steps["run_id"] == pins["run_id"].iloc[0]]
    rows = rows[rows["arm"] == arm.name]
    x, y = rows["step"].to_numpy(dtype=float), rows["train_loss"].to_numpy()
    smooth = centred_mean(y, choose_smoothing_window(int(x.max())))
    style = style_arm(arm.index)
    ax.plot(*thin_curve(x, y, 600), color=style.colour, lw=0.8, alpha=0.28, zorder=2)
    ax.plot(*thin_curve(x, smooth, 300), color=style.colour, lw=2.2, zorder=4)
    finite = np.concatenate([y[np.isfinite(y)], pins["loss"].to_numpy()])
    room = 0.06 * (finite.max() - finite.min())
    ax.set_ylim(finite.min() - room, finite.max() + room)
    # Early milestones lie close together: a root of the step gives them room, and the ticks say so.
    last = float(x.max())
    format_step_axis(ax, last)
    ax.set_xscale("function", functions=(_root, _square))
    ax.set_xlim(0, last * 1.01)
    ticks = _choose_ticks(last)
    ax.set_xticks(ticks, [write_count(tick) for tick in ticks])
    ax.set_xlabel("step (square-root axis)")
    format_axis(ax, "y")
    ax.set_ylabel("loss (nats per token)")
    add_perplexity_axis(ax)
    for number, (step, loss) in enumerate(zip(pins["step"], pins["loss"], strict=True), 1):
        pin(ax, float(step), float(loss), number)
    draw_notes(figure, layout, notes)
    return figure


def _describe(row: pd.Series) -> str:
    return f"Step {write_count(row['step'])}, loss {write_loss(row['loss'])}."


def _write_note(row: pd.Series) -> Note:
    chances = write_number(perplexity(row["loss"]))
    head = f"step {write_count(row['step'])} · loss {write_loss(row['loss'])} · perplexity {chances}"
    return Note(head, str(row["text"])[:SHOWN], is_sample=True)


def _root(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.sqrt(np.maximum(np.asarray(values, dtype=np.float64), 0.0))


def _square(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.square(np.asarray(values, dtype=np.float64))


def _choose_ticks(last: float) -> list[float]:
    """Round steps that stand apart on the root axis."""
    wanted = [0.0, 0.05, 0.2, 0.5, 1.0]
    digits = -max(math.floor(math.log10(max(last, 1))) - 1, 0)
    return sorted({float(round(last * share, digits)) for share in wanted})
