"""How much of a large study a page shows: enough to read, with a sentence that says what is left out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gptexp.comparisons.differences import choose_reference, read_losses
from gptexp.report.figures.canvas import Drawing
from gptexp.report.samples import SampleGrid
from gptexp.report.tables import Table
from gptexp.runs.study_runs import ArmRuns, StudyRuns, keep_arms
from gptexp.wording import write_count

MOST_ARMS = 28
"""Arms that a figure shows: so many differ in colour, dash and marker."""
MOST_ROWS = 400
"""Rows of a table on the page; its CSV holds all."""
MOST_DETAILED = 300
"""Runs up to which the appendix lists the whole config of each."""

Shown = TypeVar("Shown", Drawing, Table, SampleGrid)


def show_some_arms(make: Callable[[StudyRuns], Shown | None]) -> Callable[[StudyRuns], Shown | None]:
    """A maker of a part that shows every arm by itself, for studies of any number of arms."""

    def make_of_some(study: StudyRuns) -> Shown | None:
        if len(study.arms) <= MOST_ARMS:
            return make(study)
        chosen = choose_arms(study)
        some = keep_arms(study, [arm.name for arm in chosen])
        part = make(some) if some else None
        if part is None:
            return None
        return dataclasses.replace(part, caption=f"{part.caption} {say_which(len(chosen), len(study.arms))}".strip())

    return make_of_some


def say_which(shown: int, arms: int) -> str:
    """The sentence under a part that leaves arms out."""
    return (
        f"Of {write_count(arms)} arms {write_count(shown)} are shown here: the first one, the one that others are held "
        "against, and those that ended lowest; the table of how the arms end has all."
    )


def choose_arms(study: StudyRuns) -> list[ArmRuns]:
    """The arms that are shown, in the order of the study."""
    ends = {arm.name: _mean_loss(arm) for arm in study.arms}
    wanted = [study.arms[0], choose_reference(study.arms)]
    wanted += sorted(study.arms, key=lambda arm: (ends[arm.name], arm.index))
    names = list(dict.fromkeys(arm.name for arm in wanted))[:MOST_ARMS]
    return [arm for arm in study.arms if arm.name in names]


def rank_arms(study: StudyRuns) -> StudyRuns:
    """The instance with styles for the arms that are shown first: they differ, and figures and tables agree on them.

    One of few arms stays as it is. Otherwise arms behind the shown ones have no style of their own.
    """
    if len(study.arms) <= MOST_ARMS:
        return study
    shown = [arm.name for arm in choose_arms(study)]
    order = {name: place for place, name in enumerate([*shown, *(a.name for a in study.arms if a.name not in shown)])}
    arms = tuple(dataclasses.replace(arm, index=order[arm.name]) for arm in study.arms)
    return dataclasses.replace(study, arms=arms)


def share_styles(studies: Sequence[StudyRuns]) -> list[StudyRuns]:
    """The instances, ranked; one of a single arm has the style that its runs have in the first one of several arms.

    So a reader meets the same runs in the same colour.
    """
    ranked = [rank_arms(study) for study in studies]
    styles: dict[str, int] = {}
    for study in ranked:
        for arm in study.arms if len(study.arms) > 1 else ():
            for run_id in arm.run_ids:
                styles.setdefault(run_id, arm.index)
    return [_take_style(study, styles) if len(study.arms) == 1 else study for study in ranked]


def _take_style(study: StudyRuns, styles: Mapping[str, int]) -> StudyRuns:
    (arm,) = study.arms
    found = next((styles[run_id] for run_id in arm.run_ids if run_id in styles), arm.index)
    return dataclasses.replace(study, arms=(dataclasses.replace(arm, index=found),))


def cut_rows(table: Table) -> Table:
    """The table with at most `MOST_ROWS` rows on the page, and a sentence where it has more."""
    if len(table.rows) <= MOST_ROWS:
        return table
    said = f"The first {write_count(MOST_ROWS)} of {write_count(len(table.rows))} rows; the CSV has all."
    return dataclasses.replace(table, rows=table.rows[:MOST_ROWS], caption=f"{table.caption} {said}".strip())


def _mean_loss(arm: ArmRuns) -> float:
    """The mean final val loss of its completed runs; infinite where none completed."""
    losses = list(read_losses(arm).values())
    return sum(losses) / len(losses) if losses else math.inf
