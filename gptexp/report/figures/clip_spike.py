"""Gradient spikes: natural ones, and one that was made on purpose, before and after clipping."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from gptexp.measures.spikes import RULE, find_spikes_of
from gptexp.report.figures.axes import Axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.grad_norm import read_threshold
from gptexp.report.figures.legend import Key
from gptexp.report.figures.marks import DOTTED, Line, Look, Mark, Words, upright_rule
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import ALERT, INK, MUTED, PAPER, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import count_things, join_words, write_count, write_number

REACH = 12
"""Steps shown on each side of the spike."""
MADE = "Its batch was made for it: one rare token at every position. "


def clip_spike(study: StudyRuns) -> Drawing | None:
    """Gradient norms before and after clipping around the batch that was made to be a spike, in each arm that has one;
    None where none has. Spikes that came by themselves: `natural_spikes`.
    """
    spikes = find_made_spikes(study)
    if not spikes:
        return None
    data = tabulate_spikes(spikes)
    return Drawing(
        name="clip-spike",
        title="A spike that was made, before and after clipping",
        caption=f"{MADE}Global L2 norm of the gradient, {count_things(REACH, 'step')} before the "
        "spike and after it, on a logarithmic axis. Clipping scales a longer gradient down to its threshold and keeps "
        "its direction.",
        description=" ".join(_describe(arm, rows, step) for arm, rows, step in spikes),
        data=data,
        run_ids=tuple(dict.fromkeys(data["run_id"])),
        draw=partial(draw_plot, _plot(spikes)),
    )


def natural_spikes(study: StudyRuns) -> Drawing | None:
    """The largest spike on natural data of each arm, over all its seeds; None where no arm has one."""
    spikes = find_natural_spikes(study)
    if not spikes:
        return None
    data = tabulate_spikes(spikes)
    without = [arm.label for arm in study.arms if arm.name not in {arm.name for arm, _, _ in spikes}]
    none = f" No spike in any seed: {join_words(without)}." if without else ""
    return Drawing(
        name="natural-spikes",
        title="The largest spikes on natural data",
        caption=f"Global L2 norm of the gradient around the largest spike of each arm, over all its seeds, the "
        f"largest of all "
        f"first, on a logarithmic axis. No batch was made for it. {RULE}" + none,
        description=" ".join(_describe(arm, rows, step) for arm, rows, step in spikes) + none,
        data=data,
        run_ids=tuple(dict.fromkeys(data["run_id"])),
        draw=partial(draw_plot, _plot(spikes)),
    )


Spike = tuple[ArmRuns, pd.DataFrame, int]
"""An arm, the steps around its spike, and the step of the spike."""


def find_made_spikes(study: StudyRuns) -> list[Spike]:
    """The outlier batch of the first seed of each arm that has one."""
    outliers = study.outliers
    spikes = []
    for arm in study.arms:
        rows = study.steps_of(arm)
        rows = rows[rows["seed"] == rows["seed"].min()]
        own = outliers.loc[outliers["arm"] == arm.name, "step"]
        at = rows[rows["step"].isin(own) & np.isfinite(rows["grad_norm"])]
        if len(at):
            spikes.append(_take_near(arm, rows, int(at["step"].min())))
    return spikes


def find_natural_spikes(study: StudyRuns) -> list[Spike]:
    """The largest spike on natural data of each arm that has one, and the steps around it, the largest of all first.
    Labels name the seed.
    """
    spikes = []
    for arm in study.arms:
        found = [(one, seed) for seed, own in find_spikes_of(study, arm).items() for one in own]
        if found:
            spike, seed = max(found, key=lambda pair: pair[0].norm)
            rows = study.steps_of(arm)
            labelled = dataclasses.replace(arm, label=f"{arm.label}, seed {seed}")
            spikes.append((spike.norm, _take_near(labelled, rows[rows["seed"] == seed], spike.step)))
    return [one for _, one in sorted(spikes, key=lambda pair: -pair[0])]


def _take_near(arm: ArmRuns, rows: pd.DataFrame, step: int) -> Spike:
    near = rows[(rows["step"] - step).abs() <= REACH]
    threshold = read_threshold(arm)
    applied = near["grad_norm"] if math.isnan(threshold) else near["grad_norm"].clip(upper=threshold)
    return arm, near.assign(applied_norm=applied, spike=near["step"] == step), step


def tabulate_spikes(spikes: Sequence[Spike]) -> pd.DataFrame:
    """arm, seed, run_id, step, train_loss, grad_norm, applied_norm (after clipping), clipped, spike."""
    names = ["arm", "seed", "run_id", "step", "train_loss", "grad_norm", "applied_norm", "clipped", "spike"]
    return pd.concat([rows[names] for _, rows, _ in spikes], ignore_index=True)


def _describe(arm: ArmRuns, rows: pd.DataFrame, step: int) -> str:
    spike = rows[rows["spike"]].iloc[0]
    before, after = write_number(spike["grad_norm"]), write_number(spike["applied_norm"])
    change = f"{before}, {after} after clipping" if spike["clipped"] else f"{before}, not clipped"
    usual = write_number(rows.loc[~rows["spike"], "grad_norm"].median())
    return f"{arm.label}: norm at step {write_count(step)} {change}; median of the steps around it {usual}."


def _plot(spikes: Sequence[Spike]) -> Plot:
    keys = [
        Key("before clipping", Look(MUTED, 1.6, marker="o", size=5, face=PAPER)),
        Key("as applied", Look(INK, 2.4)),
    ]
    norms = pd.concat([rows["grad_norm"] for _, rows, _ in spikes])
    norms = norms[np.isfinite(norms) & (norms > 0)]
    applied = pd.concat([rows["applied_norm"] for _, rows, _ in spikes])
    low, high = min(norms.min(), applied[applied > 0].min()), norms.max()
    y = Axis(low / 2.2, high * 1.6, "gradient norm", "log")
    panels = []
    for arm, rows, step in spikes:
        x = Axis(max(0, step - REACH) - 0.5, step + REACH + 0.5, "step")
        panels.append(Panel(_list_marks(rows, step, style_arm(arm.index).colour), x, y, arm.label))
    share_x = len({step for _, _, step in spikes}) == 1
    gap = 40 if share_x else 58
    return Plot(panels, keys, share_x=share_x, height=(130, 130), gap=gap, title_pad=6)


def _list_marks(rows: pd.DataFrame, step: int, colour: str) -> list[Mark]:
    spike = rows[rows["spike"]].iloc[0]
    before, after = spike["grad_norm"], spike["applied_norm"]
    marks: list[Mark] = [
        Line(rows["step"], rows["grad_norm"], Look(colour, 1.2, alpha=0.6, marker="o", size=4.5, face=PAPER), z=3),
        Line(rows["step"], rows["applied_norm"], Look(colour, 2.6), z=4),
        upright_rule(step, Look(MUTED, 1, DOTTED), z=1),
        Words(step, before, write_number(before), (10, 0), colour=ALERT, bold=True),
    ]
    if after < before:
        # Under the line, which may fall from here on.
        later = rows.loc[rows["step"] >= step, "applied_norm"]
        under = later[later > 0].min()
        marks.append(Words(step, under, f"{write_number(after)} applied", (10, -12)))
    return marks
