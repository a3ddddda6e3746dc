"""Forks of a run beside the run itself: would it have survived?"""

from __future__ import annotations

import math

import pandas as pd

from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.run_records import RunRecords, list_runs_of
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import ABSENT, write_count, write_loss, write_number

SURVIVED = ("completed", "stopped")
"""Outcomes of a fork that got as far as it was asked to."""
SMOOTHED = 10
"""Steps whose mean train loss stands for a step."""
FORK_COLUMNS = [
    "arm",
    "run_id",
    "fork_step",
    "norm",
    "last_step",
    "loss_before",
    "worst_parent",
    "worst_fork",
    "last_parent",
    "last_fork",
    "outcome",
]


def forks_table(study: StudyRuns) -> Table | None:
    """Each fork of a run beside the same steps of the run; None where no arm is a fork.

    Norm: of the first step behind the fork, the first whose update is another. Loss before: mean of the ten steps up to
    the fork. Worst: the highest train loss behind that update. Last: mean of the last ten steps that both have.
    """
    runs = {run.run_id: (arm, run) for arm in study.arms for run in list_runs_of(study, arm)}
    forks = [(arm, run) for arm, run in runs.values() if run.row.get("parent") in runs]
    if not forks:
        return None
    rows, records = [], []
    for arm, fork in sorted(forks, key=lambda pair: pair[1].number("fork_step")):
        parent, step = runs[str(fork.row["parent"])][1], int(fork.number("fork_step"))
        last = min(fork.last_logged_step, parent.last_logged_step)
        norm = fork.steps["grad_norm"].iloc[0] if len(fork.steps) else math.nan
        before = mean_up_to(parent, step)
        worst = [find_highest(run, step + 1, last) for run in (parent, fork)]
        ends = [mean_up_to(run, last, step) for run in (parent, fork)]
        records.append([arm.name, fork.run_id, step, norm, last, before, *worst, *ends, fork.outcome])
        rows.append(
            (
                Cell(write_count(step + 1), step + 1, arm=arm.index),
                Cell(write_number(norm), norm),
                *(Cell(write_loss(value) if math.isfinite(value) else ABSENT, value) for value in (before, *worst)),
                Cell(write_count(last), last),
                *(Cell(write_loss(value) if math.isfinite(value) else ABSENT, value) for value in ends),
                Cell("survived" if fork.outcome in SURVIVED or fork.has_all_steps else fork.outcome, fork.outcome),
            )
        )
    columns = (
        Column("changed at", "step"),
        Column("norm", "of that step"),
        Column("loss", "before"),
        Column("worst loss", "as it was"),
        Column("worst loss", "forked"),
        Column("up to", "step"),
        Column("last loss", "as it was"),
        Column("last loss", "forked"),
        Column("the fork", numeric=False),
    )
    changed = study.key.partition(" ")[2] or "nothing"
    return Table(
        "forks",
        "Would it have survived?",
        f"Forks of one run: the same weights and batches, changed from that step on: {changed}. As it was: the run "
        f"itself, which a fork that changes nothing repeats to the bit. Losses are train losses: before and last are "
        f"means of {SMOOTHED} steps, the worst is that of one step behind the change. One run; no spread over seeds.",
        columns,
        tuple(rows),
        pd.DataFrame(records, columns=FORK_COLUMNS),
        tuple(dict.fromkeys([run_id for run_id, (_, run) in runs.items()])),
    )


def mean_up_to(run: RunRecords, step: int, after: int = 0) -> float:
    """The mean of the last ten train losses up to `step`, of steps behind `after`; NaN where there are none."""
    chosen = run.train_losses[(run.step_numbers <= step) & (run.step_numbers > max(after, step - SMOOTHED))]
    return float(chosen.mean()) if chosen.size else math.nan


def find_highest(run: RunRecords, after: int, last: int) -> float:
    """The highest train loss behind the step `after` up to `last`; NaN where there is none."""
    chosen = run.train_losses[(run.step_numbers > after) & (run.step_numbers <= last)]
    return float(chosen.max()) if chosen.size else math.nan
