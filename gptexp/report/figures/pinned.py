"""A loss curve with the texts that the model wrote pinned to it."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from gptexp.measures.curves import perplexity, trailing_mean
from gptexp.measures.measure import FINAL_WINDOW
from gptexp.report.figures.axes import Axis, Conversion, make_loss_axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.loss_lines import EACH_STEP, SMOOTHED, trace_noisy
from gptexp.report.figures.marks import Mark
from gptexp.report.figures.notes import Note, make_pin
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import style_arm
from gptexp.report.samples import choose_rows, make_visible
from gptexp.report.units import LESSON_UNIT, Unit, find_unit
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import write_count, write_loss, write_number

NEAR = 0.06
"""Pins don't hide each other if they are at least this share of the axis apart."""
LAST_STEPS = replace(SMOOTHED, text=f"train, mean of the last {FINAL_WINDOW} steps")
SHOWN = 150
"""At most so many characters of a text."""


def pinned_samples(study: StudyRuns) -> Drawing | None:
    """The first arm's loss with its samples as numbered pins, texts below; None without samples or losses."""
    for arm in study.arms:
        pins = _place_samples(study, arm)
        if len(pins) > 1:
            break
    else:
        return None
    unit = find_unit(arm.runs, "train")
    right = "as perplexity: as if the model chose among so many equally likely tokens"
    if unit.per_gpt2_token:
        right = (
            f"in the lesson's unit, nats per GPT-2 token: one is {unit.per_gpt2_token:.2f} characters of this text on "
            "average"
        )
    return Drawing(
        name="pinned-samples",
        title="The loss falls, and gibberish becomes words",
        caption=f"The train loss of one run, each step and the mean of the last {FINAL_WINDOW}, in {unit.nats} and "
        f"{right}. A pin is a text that the model wrote at that step. The untrained model's loss is the train loss of "
        "the first step, before its update.",
        description=" ".join(_describe(row, unit) for _, row in pins.iterrows()),
        data=pins,
        run_ids=tuple(dict.fromkeys(pins["run_id"])),
        draw=partial(draw_plot, _plot(study, arm, pins)),
    )


def _place_samples(study: StudyRuns, arm: ArmRuns) -> pd.DataFrame:
    """run_id, step, loss, text of the chosen samples of the arm's first seed; the untrained one at the train loss of
    the first step, which is of the same weights, so that all are train losses."""
    rows = study.samples[study.samples["arm"] == arm.name]
    rows = choose_rows(rows[rows["seed"] == rows["seed"].min()].sort_values("step", kind="stable"))
    steps = study.steps_of(arm)
    losses = []
    texts = []
    for _, row in rows.iterrows():
        first = steps.loc[(steps["run_id"] == row["run_id"]) & (steps["step"] == 1), "train_loss"]
        untrained = row["step"] == 0 and math.isnan(row["train_loss"]) and len(first)
        losses.append(float(first.iloc[0]) if untrained else float(row["train_loss"]))
        texts.append(make_visible(_cut(str(row["text"]).removeprefix(str(row["prompt"])))))
    placed = rows[["run_id", "step"]].assign(loss=losses, text=texts)
    if steps.empty:
        return placed.iloc[:0]
    return _thin_out(placed[np.isfinite(placed["loss"])], float(steps["step"].max()))


def _thin_out(placed: pd.DataFrame, last: float) -> pd.DataFrame:
    """Drop pins that would hide the one before; the last one stays."""
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


def _plot(study: StudyRuns, arm: ArmRuns, pins: pd.DataFrame) -> Plot:
    run_id = str(pins["run_id"].iloc[0])
    rows = study.steps[study.steps["run_id"] == run_id]
    rows = rows[rows["arm"] == arm.name]
    x, y = rows["step"].to_numpy(dtype=float), rows["train_loss"].to_numpy()
    last = float(x.max())
    # The mean that a sample's own loss is, so that its pin sits on the curve.
    smoothed = trailing_mean(y, FINAL_WINDOW)
    marks: list[Mark] = [*trace_noisy(x, y, smoothed, style_arm(arm.index).colour, arm.label, run_id)]
    for number, (step, loss) in enumerate(zip(pins["step"], pins["loss"], strict=True), 1):
        marks += make_pin(float(step), float(loss), number)
    # Early milestones lie close together: a root of the step gives them room, and the ticks say so.
    steps = Axis(0, last * 1.01, "step (square-root axis)", "root", at=_choose_ticks(last))
    unit = find_unit(arm.runs, "train")
    beside = Conversion(unit.per_gpt2_token, LESSON_UNIT) if unit.per_gpt2_token else None
    axis = make_loss_axis(np.concatenate([y, pins["loss"]]), 0.06, unit.nats)
    panel = Panel(marks, steps, axis, beside=beside, perplexity=True)
    notes = [_write_note(row, unit) for _, row in pins.iterrows()]
    return Plot([panel], [LAST_STEPS, EACH_STEP], notes=notes, height=(300, 220))


def _describe(row: pd.Series, unit: Unit) -> str:
    return f"Step {write_count(row['step'])}, loss {write_loss(row['loss'])}{unit.write_lesson_loss(row['loss'])}."


def _write_note(row: pd.Series, unit: Unit) -> Note:
    head = f"step {write_count(row['step'])} · loss {write_loss(row['loss'])}"
    if unit.per_gpt2_token:
        head += f" · {write_loss(row['loss'] * unit.per_gpt2_token)} per GPT-2 token"
    else:
        head += f" · perplexity {write_number(perplexity(row['loss']))}"
    return Note(head, str(row["text"])[:SHOWN], is_sample=True)


def _choose_ticks(last: float) -> tuple[float, ...]:
    """Round steps that stand apart on the root axis."""
    wanted = [0.0, 0.05, 0.2, 0.5, 1.0]
    digits = -max(math.floor(math.log10(max(last, 1))) - 1, 0)
    return tuple(sorted({float(round(last * share, digits)) for share in wanted}))
