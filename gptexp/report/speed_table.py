"""How fast the arms learn, as a table of the page."""

from __future__ import annotations

import math

import pandas as pd

from gptexp.comparisons.speed import measure_speed
from gptexp.report.tables import ARM, Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import ABSENT, count_things, write_count, write_interval, write_loss


def speed_table(study: StudyRuns) -> Table | None:
    """Area under the val loss curve and steps to a common loss; None without arms to compare or their curves."""
    speed = measure_speed(study) if len(study.arms) > 1 else None
    if speed is None:
        return None
    target = write_loss(speed.target)
    first, last = write_count(speed.first_step), write_count(speed.last_step)
    columns = (
        ARM,
        Column("area under val loss", f"nats, mean of steps {first} to {last}"),
        Column("above lowest", "nats"),
        Column("steps to val loss", target),
    )
    lowest = speed.frame["area_mean"].min()
    indexes = {arm.name: arm.index for arm in study.arms}
    rows = tuple(
        (
            Cell(str(row["label"]), indexes[row["arm"]], arm=indexes[row["arm"]]),
            _write_area(row, best=row["area_mean"] == lowest),
            _write_distance(row["area_mean"] - lowest),
            _write_steps(row),
        )
        for _, row in speed.frame.iterrows()
    )
    caption = (
        f"Both from the evaluations on the fixed subset. Area: the mean val loss over training, by the trapezoid rule, "
        f"with its 95% interval over seeds; a run that diverged has none and is counted. Steps: the first evaluation "
        f"at or under {target}, the lowest val loss that more than half of the arms reach with every seed."
    )
    data = speed.frame.assign(target=speed.target, first_step=speed.first_step, area_to_step=speed.last_step)
    return Table("speed", "How fast the arms learn", caption, columns, rows, data, tuple(study.run_ids))


def _write_area(row: pd.Series, *, best: bool) -> Cell:
    details = [write_interval(row["area_low"], row["area_high"])]
    if row["n_area"] < row["n_runs"]:
        details.append(f"{row['n_area']} of {count_things(row['n_runs'], 'seed')}")
    if row["diverged"]:
        details.append(f"{row['diverged']} diverged")
    text = ", ".join(detail for detail in details if detail)
    return Cell(write_loss(row["area_mean"]), row["area_mean"], mark="best" if best else "", detail=text)


def _write_distance(value: float) -> Cell:
    return Cell("lowest" if value == 0 else write_loss(value), value)


def _write_steps(row: pd.Series) -> Cell:
    """`350 (300–400)`, with `2 of 3 seeds` where not all got there; `not in 2,000 steps` where none did."""
    if not row["n_reached"]:
        last = row["last_step"]
        ended = ", diverged" if row["diverged"] == row["n_runs"] else ""
        if row["stopped"] == row["n_runs"]:
            return Cell(f"not by step {write_count(last)}, stopped there", math.nan)
        return Cell(f"not in {write_count(last)} steps{ended}" if last == last else ABSENT, float("inf"))
    low, high = write_count(row["steps_min"]), write_count(row["steps_max"])
    details = [] if low == high else [f"{low}–{high}"]
    if row["n_reached"] < row["n_runs"]:
        rest = f"{row['n_reached']} of {count_things(row['n_runs'], 'seed')}"
        details.append(f"{rest}, the others not in {write_count(row['last_step'])} steps")
    return Cell(write_count(round(row["steps_mean"])), row["steps_mean"], detail=", ".join(details))
