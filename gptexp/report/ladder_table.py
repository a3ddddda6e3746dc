"""What a ladder of learning rates comes to, as a table of the page."""

from __future__ import annotations

import math

import pandas as pd

from gptexp.comparisons.ladder import Ladder, read_ladder
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import count_things, write_interval, write_loss, write_rate

CAPTION = (
    "LR sensitivity (Wortsman et al., arXiv 2309.14322, section 2.2): the mean over the rates of min(final val loss, "
    "loss before the first step), minus the lowest of these losses; a run that diverged counts as the loss before the "
    "first step. It depends on the range of rates, here {low} to {high}. Computed seed by seed{interval}. "
)
COMMON = (
    "Each line is held against its own lowest loss in the paper's definition, so that a line may seem insensitive "
    "because all of it is high: the columns beside it hold all lines against the lowest loss of any, over all rates, "
    "and over those from {upper} on, the lowest of the lines' best rates. "
)
TRAINS = "A rate trains where every run stays finite and ends under the bigram loss{bigram}."


def ladder_table(study: StudyRuns) -> Table | None:
    """Best rate, LR sensitivity, first divergence and highest rate that trains of each series; None for a study that
    is no ladder.
    """
    ladder = read_ladder(study)
    if ladder is None:
        return None
    upper = write_rate(ladder.upper_from)
    against = (
        Column("against the lowest of all", "nats"),
        Column("the same, high rates only", f"nats, from {upper} on"),
    )
    has_common = len(ladder.series) > 1 and bool(ladder.summary["common_mean"].notna().any())
    columns = (
        Column("arms", numeric=False),
        Column("best rate"),
        Column("val loss there", "nats"),
        Column("LR sensitivity", "nats"),
        *(against if has_common else ()),
        Column("rate at which runs start to diverge"),
        Column("highest rate that trains"),
    )
    rows = tuple(_write_row(row, has_common=has_common) for _, row in ladder.summary.iterrows())
    interval = ", with its 95% interval" if ladder.points["n_runs"].max() > 1 else ""
    low = write_rate(ladder.summary["lowest_lr"].min())
    caption = CAPTION.format(low=low, high=_write_highest(ladder), interval=interval)
    caption += COMMON.format(upper=upper) if has_common else ""
    caption += TRAINS.format(bigram=_write_bigram(ladder))
    title = "What a wrong learning rate costs"
    return Table("lr-sensitivity", title, caption, columns, rows, ladder.summary, tuple(study.run_ids))


def _write_highest(ladder: Ladder) -> str:
    return write_rate(ladder.summary["highest_lr"].max())


def _write_bigram(ladder: Ladder) -> str:
    if math.isnan(ladder.bigram_loss):
        return " of its corpus, where the records say what that is: here they don't, so that it means finite alone"
    return f", {write_loss(ladder.bigram_loss)}: what counting pairs of tokens reaches on the same val split"


def _write_row(row: pd.Series, *, has_common: bool) -> tuple[Cell, ...]:
    name = row["series"] or "all"
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
        _write_cost(row, "sensitivity"),
        *((_write_cost(row, "common"), _write_cost(row, "upper")) if has_common else ()),
        start,
        _rate(row["highest_trained_lr"]),
    )


def _write_cost(row: pd.Series, name: str) -> Cell:
    interval = write_interval(row[f"{name}_low"], row[f"{name}_high"])
    seeds = "one seed: no interval" if row["n_seeds"] == 1 else interval
    if not row["n_seeds"]:
        seeds = "no seed has a result at every rate"
    return Cell(write_loss(row[f"{name}_mean"]), row[f"{name}_mean"], detail=seeds)


def _rate(value: float) -> Cell:
    return Cell(write_rate(value) if math.isfinite(value) else "none", value)
