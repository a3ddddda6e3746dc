"""The table of `runs list`: for a terminal, and as plain lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len

from gptexp.cli.cells import one_line
from gptexp.cli.console import ROOMY, make_console, make_table
from gptexp.cli.format import format_loss
from gptexp.cli.measure_columns import write_measured
from gptexp.cli.terminal import say
from gptexp.measures.catalog import select
from gptexp.tracking.result import STOPPED

OUTCOME_STYLES = {"diverged": "yellow", "failed": "red", "stopped": "cyan", "interrupted": "dim", "unfinished": "dim"}
LOSSES = tuple(select(lambda measure: measure.at_the_end and measure.in_nats))
MOST_COLOURED = 2000
"""Rows of the largest table that is laid out for a terminal."""
OUTCOME_COLUMN = 5
NUMBERS, LAST = ("seed", "steps", "train", "val"), ("flags", "changed")
GIVE_WAY = ("study", "arm", "scale", *LAST)
"""Columns that are cut before any id, outcome or number is."""


def print_runs(rows: Sequence[dict[str, Any]], measures: Sequence[str] = ()) -> None:
    """The table of `runs list`, with a column for each of these measures.

    Plain lines where the output is no terminal, with whole names for whoever greps, and for very many runs: colours
    and columns cut to fit would take longer than all the rest.
    """
    if not rows:
        return
    console = make_console()
    if len(rows) > MOST_COLOURED or not console.is_terminal:
        print_plainly(rows, measures)
        return
    heads, numbers = list_heads(measures), {*NUMBERS, *measures}
    lines = [[one_line(cell) for cell in make_cells(row, measures)] for row in rows]
    shown = [place for place, head in enumerate(heads) if head not in LAST or any(line[place].plain for line in lines)]
    table = make_table(console)
    most = 40 if console.width >= ROOMY else 8
    for place in shown:
        head = heads[place]
        # Columns that may wrap give way first where a terminal is narrow; their cells are cut instead.
        table.add_column(
            head,
            justify="right" if head in numbers else "left",
            no_wrap=head not in GIVE_WAY,
            max_width=most if head in LAST else None,
        )
    for row, line in zip(rows, lines, strict=True):
        line[OUTCOME_COLUMN].stylize(OUTCOME_STYLES.get(str(row["outcome"]), ""))
        for place in shown:
            if heads[place] in GIVE_WAY:
                line[place].no_wrap, line[place].overflow = True, "ellipsis"
        table.add_row(*(line[place] for place in shown))
    console.print(table)


def list_heads(measures: Sequence[str]) -> list[str]:
    """The headings of `make_cells`."""
    return ["run", "study", "arm", "seed", "scale", "outcome", "steps", "train", "val", *measures, *LAST]


def make_cells(row: dict[str, Any], measures: Sequence[str] = ()) -> list[Any]:
    """A run's row of `runs list`."""
    outcome = row["outcome"]
    if outcome == STOPPED:
        outcome = f"{outcome} at {show_count(row['last_step'])} of {show_count(row['max_steps'])}"
    losses = [show_loss(row[key]) for key in LOSSES] + [write_measured(row, name) for name in measures]
    changed = ", ".join(f"{key}={value}" for key, value in row["variant"].items())
    place = [row[key] for key in ("run_id", "study", "arm", "seed", "scale")]
    return [*place, outcome, row["last_step"], *losses, ", ".join(row["flags"]), changed]


def print_plainly(rows: Sequence[dict[str, Any]], measures: Sequence[str] = ()) -> None:
    """The same columns as lines of text, as wide as their longest cells."""
    heads, numbers = list_heads(measures), {*NUMBERS, *measures}
    lines = [heads, *([one_line(cell).plain for cell in make_cells(row, measures)] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = []
        for head, cell, width in zip(heads, line, widths, strict=True):
            space = " " * (width - cell_len(cell))
            cells.append(space + cell if head in numbers else cell + space)
        say("  ".join(cells).rstrip())


def show_loss(value: Any) -> str:
    """A loss as it is shown; a damaged one is a question mark."""
    return format_loss(value) if value is None or isinstance(value, int | float) else "?"


def show_count(value: Any) -> str:
    """A number of steps; a damaged one is a question mark."""
    return f"{value:,}" if isinstance(value, int) else "?"
