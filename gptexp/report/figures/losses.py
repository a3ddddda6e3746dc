"""Loss curves of a study's arms."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.measures.curves import FINAL_WINDOW, choose_smoothing_window, pick_evenly, pick_points, trailing_mean
from gptexp.measures.summary import describe_stops
from gptexp.report.figures.bands import FEW_SEEDS, spell_bands
from gptexp.report.figures.canvas import (
    RIGHT,
    Drawing,
    Layout,
    add_epoch_axis,
    format_axis,
    format_step_axis,
    mark_end,
    mark_stop,
    start_panels,
)
from gptexp.report.figures.end_labels import label_ends, measure_column, measure_labels
from gptexp.report.figures.legend import Key, line_style, make_arm_keys, make_end_key, make_stop_key
from gptexp.report.figures.loss_lines import POINTS, ArmLines, LossLines, prepare_lines, smooth_train
from gptexp.report.palette import MUTED, PAPER, ArmStyle, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.tracking.result import ENDED_AS_ASKED, STOPPED
from gptexp.wording import count_things, write_count, write_range


def loss_curves(study: StudyRuns) -> Drawing | None:
    """Train and val loss against the step; None where no train loss was recorded.

    One seed: the raw train loss faint behind its smoothed curve. Several: the mean over seeds with its 95% interval as
    a band, as far as all seeds go, and each of a few seeds faint. A diverged run ends in a cross.
    """
    if study.steps.empty or not np.isfinite(study.steps["train_loss"]).any():
        return None
    window = choose_smoothing_window(int(study.steps["step"].max()))
    curves = smooth_train(study, window)
    several = len(study.seeds) > 1
    seeds = "the mean over seeds, its 95% interval as a band"
    if len(study.seeds) <= FEW_SEEDS:
        seeds += ", single seeds faint"
    shown = seeds if several else "the raw loss is faint"
    return Drawing(
        name="loss-curves",
        title="Train and val loss",
        caption=(
            f"Train loss: mean of the {window} steps around each; {shown}. Hollow markers: val loss"
            f"{', with its interval' if several else ''}. "
            "Both in nats per token." + _describe_ends(study)
        ),
        description=_describe_losses(study),
        data=_tabulate_curves(study, curves),
        run_ids=tuple(study.run_ids),
        draw=partial(_draw_curves, study, prepare_lines(study, curves)),
    )


def _tabulate_curves(study: StudyRuns, curves: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: arm, seed, run_id, step, train_loss, train_loss_smoothed, val_loss, and of several seeds their
    mean and interval. Where single seeds aren't drawn, as far as all go, there is one row per arm and step.
    """
    keys = ["arm", "seed", "run_id", "step"]
    named = curves[[*keys, "train_loss", "smoothed"]].rename(columns={"smoothed": "train_loss_smoothed"})
    val = study.val_curve[[*keys, "val_loss"]].drop_duplicates(keys, keep="last")
    table = _thin_runs(study, named).merge(val, on=keys, how="outer")
    if len(study.seeds) > 1:
        for column, rows in (("train_loss_smoothed", named), ("val_loss", val)):
            table = table.merge(spell_bands(rows, column, column), on=["arm", "step"], how="left")
    if len(study.seeds) > FEW_SEEDS:
        table = _collapse(table, {arm.name for arm in study.arms if len(arm.run_ids) > 1})
    return table.sort_values(keys, ignore_index=True)


def _collapse(table: pd.DataFrame, arms: set[str]) -> pd.DataFrame:
    """One row of means per step of these arms, where means stand for all that their runs have at that step."""
    means = ["train_loss_smoothed_mean", "val_loss_mean"]
    covered = table["arm"].isin(arms) & table[means].notna().any(axis=1)
    for column, mean in zip(("train_loss_smoothed", "val_loss"), means, strict=True):
        covered &= table[column].isna() | table[mean].notna()
    columns = [name for name in table if str(name).startswith(("train_loss_smoothed_", "val_loss_"))]
    together = table.loc[covered, ["arm", "step", *columns]].drop_duplicates(["arm", "step"])
    return pd.concat([together, table[~covered]], ignore_index=True).reindex(columns=list(table))


def _thin_runs(study: StudyRuns, curves: pd.DataFrame) -> pd.DataFrame:
    """The steps at which curves are drawn: of several seeds some at the same steps, so that they have means.

    Evaluated steps, the ends of runs and what isn't finite stay.
    """
    shared = set(study.val_curve["step"])
    several = len(study.seeds) > 1
    if several:
        steps = np.unique(curves["step"])
        shared.update(steps[pick_evenly(len(steps), POINTS // 2)])
    losses = curves["train_loss"].to_numpy(dtype=float)
    smoothed = curves["train_loss_smoothed"].to_numpy(dtype=float)
    keep = curves["step"].isin(shared).to_numpy() | ~np.isfinite(losses)
    for places in curves.groupby(["arm", "seed"], sort=False).indices.values():
        keep[places[-1]] = True
        if not several:
            keep[places[pick_points(losses[places], POINTS)]] = True
        elif len(study.seeds) <= FEW_SEEDS:
            keep[places[pick_points(smoothed[places], POINTS // 2)]] = True
    thin: pd.DataFrame = curves[keep]
    return thin


def _draw_curves(study: StudyRuns, prepared: LossLines, layout: Layout) -> Figure:
    labels = [arm.label for arm in study.arms]
    end_labels = layout.labels_at_ends and len(labels) > 1
    keys = _make_keys(study, with_arms=not end_labels)
    figure, (ax,) = start_panels(
        layout,
        keys=keys,
        least=measure_column(labels) if end_labels else 0,
        right=measure_labels(labels) if end_labels else RIGHT,
        top=46 if count_epochs_per_step(study) else 8,
    )
    ends: list[tuple[float, float, str, Any]] = []
    for arm in study.arms:
        if arm.name in prepared.arms:
            lines, style = prepared.arms[arm.name], style_arm(arm.index)
            _draw_arm(ax, lines, style)
            ends.append((*lines.end, arm.label, style))
    ax.set_ylim(prepared.limits)
    for step, loss in prepared.ends:
        mark_end(ax, step, min(loss, prepared.limits[1]))
    for step, loss in prepared.stops:
        mark_stop(ax, step, min(loss, prepared.limits[1]))
    format_step_axis(ax, study.steps["step"].max())
    format_axis(ax, "y")
    ax.set_ylabel("loss (nats per token)")
    add_epoch_axis(ax, count_epochs_per_step(study))
    if end_labels:
        label_ends(ax, ends, figure.get_size_inches()[1] * 72 * ax.get_position().height)
    return figure


def _draw_arm(ax: Axes, lines: ArmLines, style: ArmStyle) -> None:
    line: dict[str, Any] = {"color": style.colour, "lw": 2, "ls": line_style(style), "zorder": 4}
    if lines.raw is not None:
        ax.plot(*lines.raw, color=style.colour, lw=0.8, alpha=0.28, zorder=2)
    else:
        ax.fill_between(lines.middle[0], *lines.band, color=style.colour, alpha=0.16, lw=0, zorder=1)
    ax.plot(*lines.middle, **line)
    for points in lines.single:
        ax.plot(*points, color=style.colour, lw=0.7, alpha=0.35, zorder=2)
    for points in lines.tails:
        ax.plot(*points, **{**line, "lw": 0.9})
    if len(lines.evals) or len(lines.single_evals[0]):
        _draw_evals(ax, lines, style)


def _draw_evals(ax: Axes, lines: ArmLines, style: ArmStyle) -> None:
    """Hollow markers: the mean over seeds with its interval, single values where not all seeds have one."""
    means = lines.evals
    x = means["step"].to_numpy(dtype=float)
    ax.vlines(x, means["low"], means["high"], color=style.colour, lw=1.6, zorder=5)
    dots: dict[str, Any] = {"ls": "none", "marker": style.marker, "mfc": PAPER, "mec": style.colour, "mew": 1.6}
    ax.plot(x, means["mean"], ms=6.5, zorder=6, clip_on=False, **dots)
    ax.plot(*lines.single_evals, ms=4, zorder=5, **dots)


def count_epochs_per_step(study: StudyRuns) -> float:
    """Epochs per step where all runs agree and the corpus is passed at least once, else NaN (then 0 is false)."""
    runs = study.runs
    per_step = runs["batch_size"] * runs["grad_accum_steps"] * runs["block_size"] / runs["train_tokens"]
    rate = float(per_step.iloc[0])
    same = per_step.nunique(dropna=False) == 1 and math.isfinite(rate)
    return rate if same and rate * study.max_steps >= 0.5 else 0.0


def _make_keys(study: StudyRuns, *, with_arms: bool) -> list[Key]:
    grey = Line2D([], [], color=MUTED, lw=2)
    hollow = Line2D([], [], color=MUTED, lw=0, ls="none", marker="o", ms=6.5, mfc=PAPER, mec=MUTED, mew=1.6)
    keys = [Key("train, smoothed", grey)]
    if len(study.seeds) == 1:
        keys.append(Key("train, each step", Line2D([], [], color=MUTED, lw=0.9, alpha=0.5)))
    if not study.val_curve.empty:
        keys.append(Key("val", hollow))
    if any(arm.count_outcome("diverged") for arm in study.arms):
        keys.append(make_end_key())
    if any(arm.count_outcome(STOPPED) for arm in study.arms):
        keys.append(make_stop_key())
    return keys + (make_arm_keys(study.arms, marker=not study.val_curve.empty) if with_arms else [])


def _describe_ends(study: StudyRuns) -> str:
    texts = []
    for arm in study.arms:
        if stops := describe_stops(arm.runs):
            which = "" if len(arm.run_ids) == 1 else f"{arm.count_outcome(STOPPED)} of {len(arm.run_ids)} runs "
            texts.append(f" {arm.label}: {which}stopped as asked, at step {stops}.")
        over = sum(arm.count_outcome(outcome) for outcome in ENDED_AS_ASKED)
        unfinished = len(arm.run_ids) - over
        if unfinished:
            texts.append(f" {arm.label}: {count_things(unfinished, 'run')} of {len(arm.run_ids)} not finished.")
    return "".join(texts)


def _describe_losses(study: StudyRuns) -> str:
    parts = []
    for arm in study.arms:
        rows = study.steps_of(arm)
        if rows.empty:
            parts.append(f"{arm.label}: no step recorded.")
            continue
        first = rows.sort_values("step").groupby("seed")["train_loss"].first().tolist()
        text = f"{arm.label}: train loss from {write_range(first)}"
        last = arm.runs["final_train_loss"]
        text += (
            f" to {write_range(last.tolist())} at step {write_count(rows['step'].max())}" if last.notna().any() else ""
        )
        if arm.runs["final_val_loss"].notna().any():
            text += f", final val loss {write_range(arm.runs['final_val_loss'].tolist())}"
        diverged = [f"{step:.0f}" for step in arm.runs["diverged_step"].dropna()]
        if stops := describe_stops(arm.runs):
            text += f", stopped as asked at step {stops}, train loss there {_write_last(rows, arm)}"
        parts.append(text + (f", diverged at step {', '.join(diverged)}." if diverged else "."))
    return " ".join(parts)


def _write_last(rows: pd.DataFrame, arm: ArmRuns) -> str:
    """The train loss to which the stopped runs of an arm came, from the lowest to the highest seed."""
    stopped = arm.runs.loc[arm.runs["outcome"].eq(STOPPED), "run_id"]
    runs = rows[rows["run_id"].isin(stopped)].sort_values("step").groupby("run_id")
    return write_range(
        [float(trailing_mean(run["train_loss"].to_numpy(dtype=float), FINAL_WINDOW)[-1]) for _, run in runs]
    )
