"""Spikes of the gradient: those that come by themselves, and what clipping does to one that was made."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.measures.spikes import RULE, find_spikes_of
from gptexp.report.figures.canvas import Drawing, Layout, fit_title, format_axis, start_panels
from gptexp.report.figures.legend import Key
from gptexp.report.palette import ALERT, INK, MUTED, PAPER, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns, read_number
from gptexp.wording import count_things, join_words, write_count, write_number

REACH = 12
"""Steps shown on each side of the spike."""
MADE = "Its batch was made for it: one rare token at every position. "


def clip_spike(study: StudyRuns) -> Drawing | None:
    """Gradient norms before and after clipping around the spike of each arm that has one; None where none has.

    The spike is the labelled outlier batch; in a study without one, the largest norm after the first tenth.
    """
    spikes = find_spikes(study)
    if not spikes:
        return None
    data = tabulate_spikes(spikes)
    is_made = len(study.outliers) > 0
    return Drawing(
        name="clip-spike",
        title=f"A spike{' that was made' if is_made else ''}, before and after clipping",
        caption=f"{MADE if is_made else ''}Global L2 norm of the gradient, {count_things(REACH, 'step')} before the "
        "spike and after it, on a logarithmic axis. Clipping scales a longer gradient down to its threshold and keeps "
        "its direction.",
        description=" ".join(_describe(arm, rows, step) for arm, rows, step in spikes),
        data=data,
        run_ids=tuple(dict.fromkeys(data["run_id"])),
        draw=partial(_draw, spikes),
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
        caption=f"Global L2 norm of the gradient around the largest spike of each arm, on a logarithmic axis. {RULE}"
        + none,
        description=" ".join(_describe(arm, rows, step) for arm, rows, step in spikes) + none,
        data=data,
        run_ids=tuple(dict.fromkeys(data["run_id"])),
        draw=partial(_draw, spikes),
    )


Spike = tuple[ArmRuns, pd.DataFrame, int]
"""An arm, the steps around its spike, and the step of the spike."""


def find_spikes(study: StudyRuns) -> list[Spike]:
    """The spikes of the first seeds, of arms with an outlier batch if there are any."""
    outliers = study.outliers
    arms = [arm for arm in study.arms if (outliers["arm"] == arm.name).any()] or list(study.arms)
    spikes = []
    for arm in arms:
        rows = study.steps_of(arm)
        rows = rows[rows["seed"] == rows["seed"].min()]
        late = rows[(rows["step"] > rows["step"].max() / 10) & np.isfinite(rows["grad_norm"])]
        if late.empty or not (late["grad_norm"] > 0).any():
            continue
        own = outliers[outliers["arm"] == arm.name]["step"]
        step = int(own.min()) if len(own) else int(late.loc[late["grad_norm"].idxmax(), "step"])
        if step not in set(rows["step"]):
            continue
        spikes.append(_take_near(arm, rows, step))
    return spikes


def find_natural_spikes(study: StudyRuns) -> list[Spike]:
    """The largest spike on natural data of each arm that has one, and the steps around it. Labels name the seed."""
    spikes = []
    for arm in study.arms:
        found = [(one, seed) for seed, own in find_spikes_of(study, arm).items() for one in own]
        if found:
            spike, seed = max(found, key=lambda pair: pair[0].norm)
            rows = study.steps_of(arm)
            labelled = dataclasses.replace(arm, label=f"{arm.label}, seed {seed}")
            spikes.append(_take_near(labelled, rows[rows["seed"] == seed], spike.step))
    return spikes


def _take_near(arm: ArmRuns, rows: pd.DataFrame, step: int) -> Spike:
    near = rows[(rows["step"] - step).abs() <= REACH]
    threshold = read_number(arm.runs["grad_clip"].iloc[0])
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


def _draw(spikes: Sequence[Spike], layout: Layout) -> Figure:
    keys = [
        Key("before clipping", Line2D([], [], color=MUTED, lw=1.6, marker="o", ms=5, mfc=PAPER)),
        Key("as applied", Line2D([], [], color=INK, lw=2.4)),
    ]
    share_steps = len({step for _, _, step in spikes}) == 1
    gap = 40 if share_steps else 58
    figure, axes = start_panels(layout, rows=len(spikes), height=130, keys=keys, row_gap=gap, top=26)
    norms = pd.concat([rows["grad_norm"] for _, rows, _ in spikes])
    norms = norms[np.isfinite(norms) & (norms > 0)]
    applied = pd.concat([rows["applied_norm"] for _, rows, _ in spikes])
    low, high = min(norms.min(), applied[applied > 0].min()), norms.max()
    for ax, (arm, rows, step) in zip(axes, spikes, strict=True):
        ax.set_yscale("log")
        ax.set_ylim(low / 2.2, high * 1.6)
        ax.set_xlim(max(0, step - REACH) - 0.5, step + REACH + 0.5)
        _draw_panel(ax, arm, rows, step)
        format_axis(ax, "x")
        format_axis(ax, "y", log=True)
        if ax is axes[-1]:
            ax.set_xlabel("step")
        elif share_steps:
            ax.tick_params(labelbottom=False)
        ax.set_title(fit_title(arm.label, layout), loc="left", color=INK, pad=6)
        ax.set_ylabel("gradient norm")
    return figure


def _draw_panel(ax: Axes, arm: ArmRuns, rows: pd.DataFrame, step: int) -> None:
    style = style_arm(arm.index)
    x = rows["step"].to_numpy(dtype=float)
    ax.plot(x, rows["grad_norm"], color=style.colour, lw=1.2, alpha=0.6, marker="o", ms=4.5, mfc=PAPER, zorder=3)
    ax.plot(x, rows["applied_norm"], color=style.colour, lw=2.6, zorder=4)
    ax.axvline(step, color=MUTED, lw=1, ls=(0, (1.2, 1.6)), zorder=1)
    spike = rows[rows["spike"]].iloc[0]
    text = write_number(spike["grad_norm"])
    ax.annotate(
        text,
        (step, spike["grad_norm"]),
        (10, 0),
        textcoords="offset points",
        color=ALERT,
        va="center",
        fontweight="bold",
    )
    if spike["applied_norm"] < spike["grad_norm"]:
        ax.annotate(
            f"{write_number(spike['applied_norm'])} applied",
            (step, spike["applied_norm"]),
            (10, -12),
            textcoords="offset points",
            color=INK,
            va="center",
        )
