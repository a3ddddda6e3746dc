"""The points of a sweep whose trials are paired seeds: ranked with intervals, as rows and as a table of the page."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from gptexp.comparisons.differences import read_losses
from gptexp.comparisons.ranking import RankedPoint, rank_points
from gptexp.comparisons.stats import FEWEST_PAIRS
from gptexp.measures.catalog import MEASURES
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns
from gptexp.studies.sweep.points import PREFIX, write_settings
from gptexp.wording import ABSENT, write_bounds, write_count, write_loss

if TYPE_CHECKING:
    from gptexp.studies.sweep.journal import TrialRow
    from gptexp.studies.sweep.trial import Sweep

RULE = (
    "Worse than the best: by Tukey's test of all pairs of points, since the best was chosen by the same numbers; seeds "
    f"are paired, and it takes {FEWEST_PAIRS} of them. Points that lack a seed of another one stand behind "
    "and are not compared."
)
COLUMNS = (
    Column("point", numeric=False),
    Column(MEASURES["final_val_loss"].label, "mean of seeds"),
    Column("95% interval", "Student's t"),
    Column("seeds"),
    Column("lost", "seeds not completed"),
    Column("against the best", numeric=False),
)


def rank_sweep(sweep: Sweep, rows: Sequence[TrialRow]) -> list[RankedPoint]:
    """The points of a sweep that searches `seed`, best first, named by their settings; none of another sweep.

    Trials that still run, or can go on, don't count yet; those that diverged, failed or were pruned are lost.
    """
    if not any(parameter.name == "seed" for parameter in sweep.file.parameters):
        return []
    points: dict[Any, dict[int, float]] = {}
    lost: dict[Any, int] = {}
    for row in rows:
        point = write_settings({name: value for name, value in row.settings.items() if name != "seed"}, ", ")
        points.setdefault(point, {})
        if row.state == "completed" and row.value is not None:
            points[point][int(row.settings["seed"])] = row.value
        elif row.state in ("diverged", "pruned", "failed"):
            lost[point] = lost.get(point, 0) + 1
    return rank_points(points, lost, minimize=sweep.file.metric.goal == "minimize")


def list_points(ranked: Sequence[RankedPoint]) -> list[dict[str, Any]]:
    """A row for each point: rank, point, mean, low, high, seeds, lost, against_best."""
    return [
        {
            "rank": rank if point.values else None,
            "point": point.point or "the only point",
            "mean": None if math.isnan(point.mean) else point.mean,
            "low": point.low,
            "high": point.high,
            "seeds": len(point.values),
            "lost": point.lost,
            "against_best": point.word,
        }
        for rank, point in enumerate(ranked, start=1)
    ]


def points_table(study: StudyRuns) -> Table | None:
    """The arms of a sweep with several seeds, ranked; None for another study."""
    if not study.name.startswith(PREFIX) or len(study.seeds) < 2 or len(study.arms) < 2:
        return None
    arms = {arm.name: arm for arm in study.arms}
    losses: dict[Any, dict[int, float]] = {name: read_losses(arm) for name, arm in arms.items()}
    # Seeds that still run are neither there nor lost.
    ended = {name: len(arm.runs) - arm.count_outcome("unfinished") for name, arm in arms.items()}
    lost: dict[Any, int] = {name: max(0, ended[name] - len(losses[name])) for name in arms}
    ranked = rank_points(losses, lost)
    rows = []
    for point in ranked:
        arm = arms[str(point.point)]
        rows.append(
            (
                Cell(arm.label, arm.index, arm=arm.index),
                Cell(write_loss(point.mean) if point.values else ABSENT, point.mean),
                Cell(write_bounds(point.low, point.high)),
                Cell(write_count(len(point.values)), len(point.values)),
                Cell(write_count(point.lost), point.lost),
                Cell(point.word, point.word),
            )
        )
    return Table(
        "points",
        "The points of the sweep, best first",
        RULE,
        COLUMNS,
        tuple(rows),
        pd.DataFrame(list_points([dataclasses.replace(one, point=arms[str(one.point)].label) for one in ranked])),
        tuple(study.run_ids),
    )
