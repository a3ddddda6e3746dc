"""Loss curves of a study's arms."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from gptexp.comparisons.summary import describe_stops
from gptexp.measures.curves import choose_smoothing_window, pick_evenly, pick_points, trailing_mean
from gptexp.measures.measure import FINAL_WINDOW
from gptexp.report.figures.axes import make_step_axis
from gptexp.report.figures.bands import BAND_SEEDS, FEW_SEEDS, spell_bands
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.end_labels import Name
from gptexp.report.figures.legend import DIVERGED, STOPPED_AS_ASKED, Key
from gptexp.report.figures.loss_lines import (
    EACH_STEP,
    POINTS,
    SMOOTHED,
    choose_loss_axis,
    convert_to_epochs,
    find_end,
    mark_divergences,
    mark_evaluations,
    mark_stops,
    smooth_train,
    trace_seeds,
)
from gptexp.report.figures.marks import Mark, ring_dots, style_line
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import MUTED, style_arm
from gptexp.report.units import find_unit
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.tracking.result import ENDED_AS_ASKED, STOPPED
from gptexp.wording import count_things, write_count, write_range


def loss_curves(study: StudyRuns) -> Drawing | None:
    """Train and val loss against the step; None where no train loss was recorded.

    One seed: the raw train loss faint behind its smoothed curve. Several: the mean over seeds as far as all seeds go,
    from `BAND_SEEDS` on with its 95% interval as a band, and each of a few seeds thin. A diverged run ends in a cross.
    """
    if study.steps.empty or not np.isfinite(study.steps["train_loss"]).any():
        return None
    window = choose_smoothing_window(int(study.steps["step"].max()))
    curves = smooth_train(study, window)
    several = len(study.seeds) > 1
    has_bands = any(len(arm.run_ids) >= BAND_SEEDS for arm in study.arms)
    seeds = "the mean over seeds" + (", its 95% interval as a band" if has_bands else "")
    if len(study.seeds) <= FEW_SEEDS:
        seeds += ", single seeds thin"
    shown = seeds if several else "the raw loss is faint"
    val_seeds = (", with its interval" if has_bands else ", a dot for each seed") if several else ""
    return Drawing(
        name="loss-curves",
        title="Train and val loss",
        caption=(
            f"Train loss: mean of the {window} steps around each; {shown}. Hollow markers: val loss"
            f"{val_seeds}. "
            f"Both in {find_unit(study.runs, 'train').nats}." + _describe_ends(study)
        ),
        description=_describe_losses(study),
        data=_tabulate_curves(study, curves),
        run_ids=tuple(study.run_ids),
        draw=partial(draw_plot, _plot_curves(study, curves)),
    )


def _tabulate_curves(study: StudyRuns, curves: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: arm, seed, run_id, step, train_loss, train_loss_smoothed, val_loss, and of several seeds their
    mean and interval. With many seeds, which aren't drawn one by one, there is one row per arm and step.
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
    """Replace the rows of these arms at a step by one row of means, where the means cover all that the rows hold."""
    means = ["train_loss_smoothed_mean", "val_loss_mean"]
    covered = table["arm"].isin(arms) & table[means].notna().any(axis=1)
    for column, mean in zip(("train_loss_smoothed", "val_loss"), means, strict=True):
        covered &= table[column].isna() | table[mean].notna()
    columns = [name for name in table if str(name).startswith(("train_loss_smoothed_", "val_loss_"))]
    together = table.loc[covered, ["arm", "step", *columns]].drop_duplicates(["arm", "step"])
    return pd.concat([together, table[~covered]], ignore_index=True).reindex(columns=list(table))


def _thin_runs(study: StudyRuns, curves: pd.DataFrame) -> pd.DataFrame:
    """The steps at which curves are drawn; several seeds get the same steps, so that they have means.

    Always kept: evaluated steps, the last step of each run, and losses that aren't finite.
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


def _plot_curves(study: StudyRuns, curves: pd.DataFrame) -> Plot:
    losses = choose_loss_axis(study, curves)
    marks: list[Mark] = []
    names = []
    for arm in study.arms:
        own, style = curves[curves["arm"] == arm.name], style_arm(arm.index)
        end = find_end(own)
        if end:
            marks += trace_seeds(own, style, arm.label)
            marks += mark_evaluations(study.val_curve[study.val_curve["arm"] == arm.name], style, arm.label)
        names.append(Name(arm.label, style, end, None if study.val_curve.empty else style.marker))
    marks += mark_divergences(study, curves, losses.high)
    marks += mark_stops(study, curves, losses.high)
    panel = Panel(marks, make_step_axis(study.steps["step"].max()), losses, above=convert_to_epochs(study))
    return Plot([panel], _list_keys(study), names)


def _list_keys(study: StudyRuns) -> list[Key]:
    keys = [SMOOTHED]
    if len(study.seeds) == 1:
        keys.append(EACH_STEP)
    if not study.val_curve.empty:
        keys.append(Key("val", ring_dots(MUTED, size=6.5)))
    if any(arm.count_outcome("diverged") for arm in study.arms):
        keys.append(DIVERGED)
    if any(arm.count_outcome(STOPPED) for arm in study.arms):
        keys.append(STOPPED_AS_ASKED)
    if len(study.arms) == 1:
        (arm,) = study.arms
        style = style_arm(arm.index)
        keys.append(Key(arm.label, style_line(style, 2.2, None if study.val_curve.empty else style.marker)))
    return keys


def _describe_ends(study: StudyRuns) -> str:
    texts = []
    for arm in study.arms:
        if stops := describe_stops(arm.runs):
            which = "" if len(arm.run_ids) == 1 else f"{arm.count_outcome(STOPPED)} of {len(arm.run_ids)} runs "
            texts.append(f" {arm.label}: {which}stopped as asked, at step {stops}.")
        over = sum(arm.count_outcome(outcome) for outcome in ENDED_AS_ASKED)
        has_all_steps = arm.runs["last_step"].astype(float) >= arm.runs["max_steps"].astype(float)
        cut_off = int((~arm.runs["outcome"].isin(ENDED_AS_ASKED) & has_all_steps).sum())
        if cut_off:
            texts.append(
                f" {arm.label}: {count_things(cut_off, 'run')} of {len(arm.run_ids)} took all steps, without the final "
                f"evaluation."
            )
        if unfinished := len(arm.run_ids) - over - cut_off:
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
    """The last train losses of the stopped runs of an arm, from the lowest to the highest."""
    stopped = arm.runs.loc[arm.runs["outcome"].eq(STOPPED), "run_id"]
    runs = rows[rows["run_id"].isin(stopped)].sort_values("step").groupby("run_id")
    return write_range(
        [float(trailing_mean(run["train_loss"].to_numpy(dtype=float), FINAL_WINDOW)[-1]) for _, run in runs]
    )
