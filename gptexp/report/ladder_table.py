"""What a ladder of learning rates comes to, as a table of the page."""

from __future__ import annotations

import math

import pandas as pd

from gptexp.comparisons.ladder import read_ladder
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import count_things, write_interval, write_loss, write_rate

CAPTION = (
    "LR sensitivity (Wortsman et al., arXiv 2309.14322): the mean over all rates of the ladder of min(final val loss, "
    "loss before the first step), minus the lowest of them; a run that diverged counts as the loss before the first "
    "step. Reckoned seed by seed, with its 95% interval."
)


def ladder_table(study: StudyRuns) -> Table | None:
    """Best rate, LR sensitivity and first divergence of each series; None for a study that is no ladder."""
    ladder = read_ladder(study)
    if ladder is None:
        return None
    columns = (
        Column("arms", numeric=False),
        Column("best rate"),
        Column("val loss there", "nats"),
        Column("LR sensitivity", "nats"),
        Column("rate at which runs start to diverge"),
        Column("highest rate without a divergence"),
    )
    rows = tuple(_write_row(row) for _, row in ladder.summary.iterrows())
    title = "What a wrong learning rate costs"
    return Table("lr-sensitivity", title, CAPTION, columns, rows, ladder.summary, tuple(study.run_ids))


def _write_row(row: pd.Series) -> tuple[Cell, ...]:
    name = row["series"] or "all"
    interval = write_interval(row["sensitivity_low"], row["sensitivity_high"])
    seeds = "one seed: no interval" if row["n_seeds"] == 1 else interval
    if not row["n_seeds"]:
        seeds = "no seed has a result at every rate"
    broken = row["first_diverged_lr"]
    if math.isnan(broken):
        start = Cell(f"none up to {write_rate(row['highest_lr'])}", math.inf)
    else:
        count = f"{row['first_diverged']} of {count_things(row['first_diverged_of'], 'run')}"
        start = Cell(write_rate(broken), broken, "diverged", detail=count)
    return (
        Cell(name, name),
        _rate(row["best_lr"]),
        Cell(write_loss(row["best_loss"]), row["best_loss"]),
        Cell(write_loss(row["sensitivity_mean"]), row["sensitivity_mean"], detail=seeds),
        start,
        _rate(row["highest_whole_lr"]),
    )


def _rate(value: float) -> Cell:
    return Cell(write_rate(value) if math.isfinite(value) else "none", value)
