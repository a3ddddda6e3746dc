"""How the runs of a plan ended, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from gptexp.cli.console import WIDE, make_console
from gptexp.cli.format import format_duration, format_loss
from gptexp.cli.plan_table import group_by_study, name_corpora, new_table
from gptexp.measures.ends import list_unsaid
from gptexp.studies.plan import PlannedRun
from gptexp.text import visible
from gptexp.tracking.result import Result
from gptexp.training.flags import describe_flags

MOST_NOTES = 8
"""Runs of a study of which more is said than a word."""


def print_comparison(planned: Sequence[PlannedRun], results: Mapping[str, Result | None]) -> None:
    """One row per run: how it ended and at which losses.

    train loss: mean of the last 10 steps; val loss: over the whole val split; best on subset: lowest of the periodic
    evaluations on the fixed subset. Nats per token. Of a run that did not complete, where it is now: it has no final
    val loss. What is to be said of an outcome stands under the table, for at most `MOST_NOTES` runs.
    """
    console = make_console(piped_width=WIDE)
    for study, items in group_by_study(planned).items():
        corpora = name_corpora(items)
        left = ("arm", "corpus") if len(corpora) > 1 else ("arm",)
        table = new_table(
            console, left, ("seed", "train loss", "val loss", "best on subset", "clipped", "time", "run"), "outcome"
        )
        for item in items:
            names = [item.arm.label, corpora[item.run.content["corpus"]["checksum"]]][: len(left)]
            cells = _result_cells(results.get(item.run.run_id), item)
            table.add_row(*(visible(name) for name in names), str(item.seed), *cells)
        console.print(Text.assemble("\n", (study, "bold")))
        console.print(table)
        print_notes(console, items, results)


def print_notes(console: Console, items: Sequence[PlannedRun], results: Mapping[str, Result | None]) -> None:
    """What the table's last column has no room for, a line for each run that has any."""
    notes = [
        f"{visible(item.arm.label)}, seed {item.seed}: {note}"
        for item in items
        if (result := results.get(item.run.run_id)) and (note := describe_end(result))
    ]
    for note in notes[:MOST_NOTES]:
        console.print(f"- {note}", soft_wrap=True)
    if len(notes) > MOST_NOTES:
        console.print(f"- and {len(notes) - MOST_NOTES} runs more; `gptexp runs list` has their flags", soft_wrap=True)


def _result_cells(result: Result | None, item: PlannedRun) -> list[str]:
    if result is None:
        return ["–", "–", "–", "–", "–", item.run.run_id, "not started"]
    unsaid = list_unsaid(result.outcome, result.last_step, item.run.config.max_steps)
    return [
        format_loss(result.final_train_loss),
        format_loss(None if "final_val_loss" in unsaid else result.final_val_loss),
        format_loss(result.best_val_loss),
        "–" if result.clipped_fraction is None else f"{result.clipped_fraction:.0%}",
        format_duration(result.duration_s),
        item.run.run_id,
        result.outcome,
    ]


def describe_end(result: Result) -> str:
    """Where a run diverged or was stopped, why it failed, and its flags in words; empty where nothing is to be said."""
    parts = []
    if result.outcome == "diverged":
        last = format_loss(result.last_finite_train_loss)
        parts = [f"diverged at step {result.diverged_step} in {result.diverged_where}; last finite train loss {last}"]
    elif result.outcome != "completed":
        parts = [f"{result.outcome} {result.outcome_detail}"]
    return visible(", ".join(filter(None, [*parts, describe_flags(result.flags)])))
