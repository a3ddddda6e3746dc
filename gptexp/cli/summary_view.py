"""What a study came to, from its records: what it can't show first, then its paired differences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from gptexp.cli.console import WIDE, make_console, make_table
from gptexp.text import visible
from gptexp.wording import ABSENT

if TYPE_CHECKING:
    from gptexp.cli.carry_out import Summary
    from gptexp.runs.frames import Frames
    from gptexp.runs.study_runs import StudyRuns
    from gptexp.studies.plan import PlannedRun
    from gptexp.tracking.result import Result

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


def print_limits(studies: Sequence[StudyRuns]) -> None:
    """What makes studies show less than they seem to; nothing where there is nothing of the kind."""
    from gptexp.comparisons.validity import find_limits

    console = make_console(piped_width=WIDE)
    for study in studies:
        print_cannot_show(console, study.name, find_limits(study))


def print_cannot_show(console: Console, study: str, sentences: Sequence[str]) -> None:
    if sentences:
        console.print(Text.assemble("\n", (CANNOT_SHOW, "bold yellow"), f" ({study})"))
    for sentence in sentences:
        console.print(f"- {sentence}", soft_wrap=True)


def print_differences(studies: Sequence[StudyRuns]) -> None:
    """The paired differences of each study that has several arms, and a number of seeds that was fixed before."""
    from gptexp.report.difference_table import differences_table
    from gptexp.report.units import find_unit

    console = make_console(piped_width=WIDE)
    for study in studies:
        # Intervals for a fixed number of seeds are too narrow where seeds were added until they told something.
        made = differences_table(study) if study.detect is None else None
        if made is None:
            continue
        shown = make_table(console)
        # A column in which nothing can be said only takes the others' room.
        places = [
            place for place, cells in enumerate(zip(*made.rows, strict=True)) if {c.text for c in cells} != {ABSENT}
        ]
        for column in (made.columns[place] for place in places):
            shown.add_column(column.heading, justify="right" if column.numeric else "left", overflow="fold")
        for row in made.rows:
            shown.add_row(*(visible(row[place].full_text) for place in places))
        unit = find_unit(study.runs, "val").nats
        console.print(Text.assemble("\n", (study.name, "bold"), f": paired differences, {unit}"))
        console.print(shown)


def describe_training(
    planned: Sequence[PlannedRun], results: Mapping[str, Result | None], summary: Summary, exit_status: int
) -> dict[str, Any]:
    """What `run`, `train` and `fork` came to, for --json."""
    return {
        "exit_status": exit_status,
        "runs": [_describe_end(item, results.get(item.run.run_id)) for item in planned],
        "studies": [_describe_study(study) for study in summary.studies],
        "page": str(summary.page) if summary.page else None,
    }


def _describe_end(item: PlannedRun, result: Result | None) -> dict[str, Any]:
    """A planned run and its result; None for what it has not."""
    from gptexp.measures.catalog import select
    from gptexp.measures.ends import list_unsaid

    listed = select(lambda measure: measure.listed)
    names = ("outcome", "outcome_detail", *listed, "clipped_fraction", "tokens_seen")
    found = {name: getattr(result, name, None) for name in names}
    if result is not None:
        found |= dict.fromkeys(list_unsaid(result.outcome, result.last_step, item.run.config.max_steps))
    return {
        "run_id": item.run.run_id,
        "study": item.request.study.name,
        "arm": item.arm.name,
        "label": item.arm.label,
        "seed": item.seed,
        "scale": item.request.scale.name,
        "status_before": item.status,
        "max_steps": item.run.config.max_steps,
        **found,
        "flags": sorted(result.flags) if result else [],
    }


def _describe_study(study: StudyRuns) -> dict[str, Any]:
    """What a study can't show and its paired differences, as the tables have them."""
    import math

    from gptexp.comparisons.differences import find_differences, tabulate_differences
    from gptexp.comparisons.validity import find_limits

    differences = find_differences(study) if study.detect is None else []
    rows = tabulate_differences(differences).to_dict("records") if differences else []
    return {
        "study": study.name,
        "instance": study.key,
        "cannot_show": list(find_limits(study)),
        "differences": [
            {
                str(name): None if isinstance(value, float) and math.isnan(value) else value
                for name, value in row.items()
            }
            for row in rows
        ],
    }
