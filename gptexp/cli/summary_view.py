"""What a study came to, from its records: what it can't show first, then its paired differences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gptexp.cli.console import WIDE, make_console
from gptexp.text import visible

if TYPE_CHECKING:
    from gptexp.runs.frames import Frames
    from gptexp.runs.study_runs import StudyRuns
    from gptexp.studies.plan import PlannedRun

CANNOT_SHOW = "What this study cannot show"


def select_planned(frames: Frames, planned: Sequence[PlannedRun]) -> list[StudyRuns]:
    """The study instances of a plan that have begun, in its order, with the plan's own runs and no others."""
    from gptexp.identity import canonical_json
    from gptexp.runs.study_runs import select_studies
    from gptexp.tracking.places import name_variant

    planned_places = {
        (item.request.study.name, item.request.scale.name, canonical_json(name_variant(item.request.variant)))
        for item in planned
    }
    studies = select_studies(frames.keep_runs({item.run.run_id for item in planned}))
    return [
        one
        for one in studies
        if (one.name, one.scale, canonical_json(name_variant(json.loads(one.variant)))) in planned_places
    ]


def print_vacuities(studies: Sequence[StudyRuns]) -> None:
    """What makes studies show less than they seem to; nothing where there is nothing of the kind."""
    from gptexp.comparisons.validity import find_vacuities

    console = make_console(piped_width=WIDE)
    for study in studies:
        print_cannot_show(console, study.name, find_vacuities(study))


def print_cannot_show(console: Console, study: str, sentences: Sequence[str]) -> None:
    if sentences:
        console.print(Text.assemble("\n", (CANNOT_SHOW, "bold yellow"), f" ({study})"))
    for sentence in sentences:
        console.print(f"- {sentence}", soft_wrap=True)


def print_differences(studies: Sequence[StudyRuns]) -> None:
    """The paired differences of each study that has several arms, and a number of seeds that was fixed before."""
    from gptexp.report.difference_table import differences_table

    console = make_console(piped_width=WIDE)
    for study in studies:
        # Intervals for a fixed number of seeds are too narrow where seeds were added until they told something.
        made = differences_table(study) if study.detect is None else None
        if made is None:
            continue
        shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in made.columns:
            shown.add_column(column.heading, justify="right" if column.numeric else "left", overflow="fold")
        for row in made.rows:
            shown.add_row(*(visible(cell.full_text) for cell in row))
        console.print(Text.assemble("\n", (study.name, "bold"), ": paired differences, nats per token"))
        console.print(shown)
