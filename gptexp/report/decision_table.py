"""What a study decided that added paired seeds until each comparison was decided."""

from __future__ import annotations

import pandas as pd

from gptexp.comparisons.decisions import LOOKS, Standing, find_standings
from gptexp.measures.catalog import MEASURES
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import ABSENT, write_bounds, write_change, write_count, write_number

COLUMNS = (
    Column(f"{MEASURES['final_val_loss'].label} of", numeric=False),
    Column("minus that of", numeric=False),
    Column("difference", "nats, mean of pairs"),
    Column("interval", "at every look"),
    Column("pairs", "seeds at the decision"),
    Column("lost", "seeds not completed"),
    Column("decision", numeric=False),
)
DATA = ["arm", "reference", "difference", "low", "high", "n_pairs", "lost", "decision"]


def decisions_table(study: StudyRuns) -> Table | None:
    """Every arm against its reference, with the decision; None where no run was asked for until decided."""
    if study.detect is None or not (standings := find_standings(study, study.detect)):
        return None
    indexes = {arm.name: arm.index for arm in study.arms}
    data = pd.DataFrame([_list_numbers(row) for row in standings], columns=DATA)
    detect = write_number(study.detect)
    caption = (
        f"Seeds were added until each arm was told apart from its reference (lower, higher) or shown to be closer than "
        f"{detect} nats, or the seeds that were allowed were used up (undecided). {LOOKS}"
    )
    rows = tuple(_write_row(row, indexes[row.arm], detect) for row in standings)
    return Table("decisions", "Decided, looking after every seed", caption, COLUMNS, rows, data, tuple(study.run_ids))


def _list_numbers(row: Standing) -> list[object]:
    return [row.arm, row.reference, row.mean, row.low, row.high, row.n_pairs, row.lost, row.word]


def _write_row(row: Standing, index: int, detect: str) -> tuple[Cell, ...]:
    return (
        Cell(row.what, index, arm=index),
        Cell(row.against),
        Cell(ABSENT if row.mean is None else write_change(row.mean), row.mean),
        Cell(write_bounds(row.low, row.high, write_change)),
        Cell(write_count(row.n_pairs), row.n_pairs),
        Cell(write_count(row.lost), row.lost),
        Cell(f"closer than {detect}" if row.word == "closer" else row.word, row.word),
    )
