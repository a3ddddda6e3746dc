"""The learning rate of each arm against the step."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from gptexp.measures.curves import pick_points
from gptexp.report.figures.axes import make_rate_axis, make_step_axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.end_labels import Name
from gptexp.report.figures.marks import Line, style_line
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import join_words, write_count, write_rate

POINTS = 400

Curves = dict[str, pd.DataFrame]
"""Of each arm by its name: run_id, step and lr of its longest run."""


def lr_schedules(study: StudyRuns) -> Drawing | None:
    """The recorded learning rate of every arm; arms with the same one share a line. None where no step is recorded."""
    curves = {arm.name: read_curve(study, arm) for arm in study.arms}
    groups = _group_arms(study, curves)
    if not groups:
        return None
    data = _tabulate(curves)
    shared = "" if len(groups) == len(study.arms) else " Arms with the same schedule share a line."
    if len(groups) == 1 < len(study.arms):
        shared = " It is the same in every arm."
    return Drawing(
        name="lr-schedules",
        title="Learning rate",
        caption=f"The rate that each step used, as recorded.{shared}",
        description=" ".join(_describe_curve(_name_group(arms), curves[arms[0].name]) for arms in groups),
        data=data,
        run_ids=tuple(study.run_ids),
        draw=partial(draw_plot, _plot_schedules(groups, data)),
    )


def read_curve(study: StudyRuns, arm: ArmRuns) -> pd.DataFrame:
    """run_id, step and lr of the arm's longest run (its seeds share the schedule)."""
    rows = study.steps_of(arm)
    if rows.empty:
        return rows[["run_id", "step", "lr"]]
    longest = rows.groupby("seed")["step"].max().idxmax()
    return rows[rows["seed"] == longest][["run_id", "step", "lr"]].reset_index(drop=True)


def _tabulate(curves: Curves) -> pd.DataFrame:
    """What is drawn: arm, run_id, step, lr."""
    parts = [
        curve.iloc[pick_points(curve["lr"].to_numpy(dtype=float), POINTS)].assign(arm=arm)
        for arm, curve in curves.items()
    ]
    return pd.concat(parts, ignore_index=True)[["arm", "run_id", "step", "lr"]]


def _group_arms(study: StudyRuns, curves: Curves) -> list[list[ArmRuns]]:
    """Arms with recorded steps, those together whose rates agree as far as both go."""
    groups: list[list[ArmRuns]] = []
    for arm in study.arms:
        curve = curves[arm.name]
        if curve.empty:
            continue
        group = next((group for group in groups if _agree(curve, curves[group[0].name])), None)
        if group is None:
            groups.append([arm])
        else:
            group.append(arm)
    return groups


def _agree(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two curves have a step in common and the same rate at all of those."""
    rates, others = one["lr"].to_numpy(dtype=float), other["lr"].to_numpy(dtype=float)
    _, here, there = np.intersect1d(one["step"], other["step"], return_indices=True)
    return bool(here.size) and bool((np.abs(rates[here] - others[there]) <= 1e-12).all())


def _name_group(arms: list[ArmRuns]) -> str:
    return join_words([arm.label for arm in arms])


def _describe_curve(name: str, curve: pd.DataFrame) -> str:
    first, last = curve.iloc[0], curve.iloc[-1]
    peak = curve.iloc[int(curve["lr"].to_numpy().argmax())]
    if curve["lr"].min() == curve["lr"].max():
        return f"{name}: {write_rate(first['lr'])} throughout."
    return (
        f"{name}: {write_rate(first['lr'])} at step {write_count(first['step'])}, highest {write_rate(peak['lr'])} at "
        f"step {write_count(peak['step'])}, {write_rate(last['lr'])} at step {write_count(last['step'])}."
    )


def _plot_schedules(groups: list[list[ArmRuns]], data: pd.DataFrame) -> Plot:
    marks, names = [], []
    for arms in groups:
        curve, style = data[data["arm"] == arms[0].name], style_arm(arms[0].index)
        marks.append(Line(curve["step"], curve["lr"], style_line(style)))
        names.append(Name(_name_group(arms), style, (float(curve["step"].iloc[-1]), float(curve["lr"].iloc[-1]))))
    panel = Panel(marks, make_step_axis(data["step"].max()), make_rate_axis(data["lr"].max() * 1.06))
    return Plot([panel], names=names, left=66, height=(248, 173.6))
