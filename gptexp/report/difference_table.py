"""The paired differences of a study as a table of the page."""

from __future__ import annotations

import math

import pandas as pd

from gptexp.comparisons.differences import (
    EFFECTS_DIFFER,
    TOLD_APART,
    Difference,
    find_differences,
    tabulate_differences,
)
from gptexp.measures.catalog import MEASURES
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import ABSENT, ONE_SEED, count_things, write_chance, write_change, write_interval, write_number

COLUMNS = (
    Column(f"{MEASURES['final_val_loss'].label} of", numeric=False),
    Column("minus that of", numeric=False),
    Column("difference", "nats, mean of pairs"),
    Column("95% interval", "Student's t"),
    Column("pairs", "seeds"),
    Column("exact p", "sign flips"),
    Column("p by Holm", "t-test, all rows"),
    Column("could have shown", "nats, 4 times in 5"),
    Column("reading", numeric=False),
)
SEED_BY_SEED = "Seed by seed: seed k gave every arm the same initial weights and the same batches."
READING = (
    "Lower or higher: the interval leaves out zero, the exact test agrees, as far as that many pairs let it, and the "
    "t-test's p-value stays at or under 0.05 by Holm's rule, which allows for {rows}: the chance that any of them is "
    "told apart though its true difference is zero is then at most 5%. An interval may leave out zero without that. "
    "Could have shown: the true difference that this many pairs, scattered like these, would find four times in five; "
    "under three pairs nothing is told apart, and nothing could have been."
)
FIXED_BEFORE = (
    "These intervals and tests hold for a number of seeds that was fixed before. Here seeds were added until each "
    "comparison was decided: what was decided stands in the table of decisions, whose intervals allow for that."
)
ONE_PAIR = "one seed: a direction, no interval"


def differences_table(study: StudyRuns) -> Table | None:
    """Every arm against the reference, main effects and interactions; None where there is nothing to compare."""
    differences = find_differences(study)
    if not differences:
        return None
    data = tabulate_differences(differences)
    indexes = {arm.label: arm.index for arm in study.arms}
    rows = tuple(
        _write_row(found, row, indexes.get(found.what) if found.kind == "arm" else None)
        for found, (_, row) in zip(differences, data.iterrows(), strict=True)
    )
    references = {found.against for found in differences if found.kind == "arm"}
    held = f" Held against {min(references)}." if len(references) == 1 else ""
    single = bool((data["n_pairs"] <= 1).all())
    compared = int(data["holm_p"].notna().sum())
    reading = READING.format(rows=f"the {count_things(compared, 'comparison')} of this table")
    caption = (f"{ONE_SEED} {SEED_BY_SEED}" if single else f"{SEED_BY_SEED} {reading}") + held
    if study.detect is not None:
        caption += f" {FIXED_BEFORE}"
    return Table(
        "differences", "Paired differences between the arms", caption, COLUMNS, rows, data, tuple(study.run_ids)
    )


def _write_row(found: Difference, row: pd.Series, index: int | None) -> tuple[Cell, ...]:
    single = row["n_pairs"] == 1
    interval = write_interval(row["low"], row["high"], write_change) or (ONE_PAIR if single else ABSENT)
    lost = f"{count_things(found.lost, 'seed')} not completed" if found.lost else ""
    floor = f"least {write_chance(row['smallest_p'])}" if row["smallest_p"] > 0.05 else ""
    detectable, told = row["smallest_detectable"], row["word"] in (*TOLD_APART, EFFECTS_DIFFER)
    alone = "by the interval alone" if floor else ""
    return (
        Cell(found.what, found.what, arm=index),
        Cell(found.against, found.against),
        Cell(write_change(row["difference"]), row["difference"]),
        Cell(interval, row["low"]),
        Cell(str(row["n_pairs"]), row["n_pairs"], detail=lost),
        Cell(write_chance(row["p_value"]), row["p_value"], detail=floor),
        Cell(write_chance(row["holm_p"]), row["holm_p"]),
        Cell(ABSENT if math.isnan(detectable) else write_number(detectable, 2), detectable),
        Cell(row["word"], row["word"], mark="best" if told else "", detail=alone if told else ""),
    )
