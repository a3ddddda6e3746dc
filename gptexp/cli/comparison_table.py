"""How the runs of a plan ended, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from gptexp.cli.console import WIDE, make_console
from gptexp.cli.format import format_duration, format_loss
from gptexp.cli.plan_table import group_by_study, name_corpora, new_table
from gptexp.studies.plan import PlannedRun
from gptexp.text import visible
from gptexp.tracking.result import STOPPED, Result
from gptexp.training.flags import describe_flags


def print_comparison(planned: Sequence[PlannedRun], results: Mapping[str, Result | None]) -> None:
    """One row per run: how it ended and at which losses.

    train loss: mean of the last 10 steps; val loss: over the whole val split; best on subset: lowest of the periodic
    evaluations on the fixed subset. Nats per token. Of a run that was stopped on its way, where it is now: it has no
    final val loss.
    """
    console = make_console(piped_width=WIDE)
    for study, items in group_by_study(planned).items():
        corpora = name_corpora(items)
        left = ("arm", "corpus") if len(corpora) > 1 else ("arm",)
        table = new_table(
            left, ("seed", "train loss", "val loss", "best on subset", "clipped", "time", "run"), "outcome"
        )
        for item in items:
            names = [item.arm.label, corpora[item.run.content["corpus"]["checksum"]]][: len(left)]
            cells = _result_cells(results.get(item.run.run_id), item)
            table.add_row(*(visible(name) for name in names), str(item.seed), *cells)
        console.print(Text.assemble("\n", (study, "bold")))
        console.print(table)


def _result_cells(result: Result | None, item: PlannedRun) -> list[str]:
    if result is None:
        return ["–", "–", "–", "–", "–", item.run.run_id, "not started"]
    return [
        format_loss(result.final_train_loss),
        format_loss(None if result.outcome == STOPPED else result.final_val_loss),
        format_loss(result.best_val_loss),
        "–" if result.clipped_fraction is None else f"{result.clipped_fraction:.0%}",
        format_duration(result.duration_s),
        item.run.run_id,
        describe_outcome(result),
    ]


def describe_outcome(result: Result) -> str:
    """`completed`, or the outcome with what makes it worth reading."""
    if result.outcome == STOPPED:
        flags = describe_flags(result.flags)
        return visible(f"stopped {result.outcome_detail}" + (f", {flags}" if flags else ""))
    if result.outcome == "completed":
        flags = describe_flags(result.flags)
        return f"completed, {flags}" if flags else "completed"
    if result.outcome == "diverged":
        last = format_loss(result.last_finite_train_loss)
        return f"diverged at step {result.diverged_step} in {result.diverged_where}; last finite train loss {last}"
    return visible(f"{result.outcome}: {result.outcome_detail}")
