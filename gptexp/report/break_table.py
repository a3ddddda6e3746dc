"""Which layer left the band of the other seeds first, run by run."""

from __future__ import annotations

import pandas as pd

from gptexp.measures.first_break import RULE, find_breaks
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import ABSENT, write_count, write_loss, write_number

COLUMNS = ["run_id", "arm", "seed", "loss_step", "loss", "loss_of_others", "layer", "metric", "layer_step", "ratio"]


def first_breaks(study: StudyRuns) -> Table | None:
    """A row for every run whose loss left the band; None where none did, or no metric by layer was recorded."""
    if study.metrics.empty:
        return None
    found = [(arm, one) for arm in study.arms for one in find_breaks(study, arm)]
    if not found:
        return None
    columns = (
        Column("arm", numeric=False),
        Column("seed"),
        Column("the loss left", "at step"),
        Column("train loss", "there"),
        Column("of the others", "median"),
        Column("first layer", "that had left", numeric=False),
        Column("its number", numeric=False),
        Column("it left", "steps before the loss"),
        Column("there", "times the median of the others"),
    )
    rows, records = [], []
    for arm, one in found:
        first = one.leavings[0] if one.leavings else None
        lead = one.step - first.step if first else None
        rows.append(
            (
                Cell(arm.label, arm.index, arm=arm.index),
                Cell(str(one.seed), one.seed),
                Cell(write_count(one.step), one.step),
                Cell(write_loss(one.loss), one.loss),
                Cell(write_loss(one.others), one.others),
                Cell(first.layer, first.layer) if first else Cell("none", ""),
                Cell(first.metric, first.metric) if first else Cell(ABSENT, ""),
                Cell(write_count(lead), lead) if lead is not None else Cell(ABSENT),
                Cell(write_number(first.ratio), first.ratio) if first else Cell(ABSENT),
            )
        )
        left = [first.layer, first.metric, first.step, first.ratio] if first else [None] * 4
        records.append([one.run_id, arm.name, one.seed, one.step, one.loss, one.others, *left])
    return Table(
        "first-breaks",
        "What broke first",
        f"{RULE} Metrics are measured at some steps only: a layer may have left earlier than shown.",
        columns,
        tuple(rows),
        pd.DataFrame(records, columns=COLUMNS),
        tuple(dict.fromkeys(one.run_id for _, one in found)),
    )
