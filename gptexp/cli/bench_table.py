"""The progress bar and the tables of the command bench."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gptexp.cli.console import make_console, make_table
from gptexp.cli.format import format_duration

WIDTH = 80
"""Columns of the output if it is not a terminal."""


@contextlib.contextmanager
def show_progress(rounds: int, sides: int, *, with_overheads: bool) -> Iterator[Callable[[str], None]]:
    """Show a progress bar on stderr until the end; yields a function to call with the name of each new phase."""
    # Each side starts, warms up and takes one turn per round.
    total = sides * (2 + rounds) + with_overheads
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, completed=-1)

        def begin(what: str) -> None:
            bar.update(task, advance=1, description=what)

        yield begin


def print_bench(found: dict[str, Any]) -> None:
    """Print the comparison, and the time that a run spends besides its steps."""
    # A pipe has no width; the tables fit into 80 columns.
    console = make_console(piped_width=WIDTH)
    threads, steps = found["threads"], found["steps"]
    on = found["device"] + (f", {threads} thread{'s' * (threads != 1)}" if found["device"] == "cpu" else "")
    changes = "".join(f" {key}={value}" for key, value in found["settings"].items())
    console.print(f"{found['scale']}{changes}: {found['tokens_per_step']:,} tokens a step")
    console.print(f"{found['machine'] or ''}, {on}")
    console.print()
    console.print(make_step_table(console, found))
    console.print(
        f"Medians of {found['rounds']} round{'s' * (found['rounds'] != 1)} of {steps} step{'s' * (steps != 1)}, in "
        f"turns; ranges over the rounds. floor: what share of the step its matrix products alone would take."
    )
    for result in found["results"]:
        print_notes(console, result)
    for result in list_compared(found):
        if result["compiled"]:
            print_compiling(console, result)
    for precision, reason in found["left_out"].items():
        console.print(f"{precision} is left out: {reason}.")
    if found["overheads"]:
        print_overheads(console, found)


def make_step_table(console: Console, found: dict[str, Any]) -> Table:
    """One row per side."""
    table = make_table(console)
    table.add_column("loop", no_wrap=True)
    for name in ("ms a step", "tokens/s", "times as fast", "peak MiB", "floor"):
        table.add_column(name, justify="right")
    reference = found["reference"]
    table.add_row(reference["loop"], *describe_side(reference, "1"), "")
    for result in list_compared(found):
        speedup = format_spread(result["speedup"], 1, 2)
        floor = f"{result['floor_share']['median']:.0%}" if result["floor_share"] else ""
        # The row above shows the same loop without compiling.
        name = "  compiled" if result["compiled"] else result["loop"]
        table.add_row(name, *describe_side(result, speedup, result["memory_share"]), floor)
    return table


def list_compared(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The loops compared with the plain one: the plain loop compiled, if it was timed, and gptexp's loops."""
    return [result for result in (found["reference_compiled"], *found["results"]) if result is not None]


def describe_side(side: dict[str, Any], speedup: str, memory_share: float | None = None) -> list[str]:
    """Cells of one loop: time, rate, speed-up, memory."""
    memory = f"{side['peak_memory_mib']:,.0f}"
    return [
        format_spread(side["step_s"], 1000, 1 if side["step_s"]["median"] < 0.1 else 0),
        f"{side['tokens_per_s']['median']:,.0f}",
        speedup,
        memory if memory_share is None else f"{memory} ({memory_share:.0%})",
    ]


def format_spread(spread: dict[str, float], unit: float, digits: int) -> str:
    """`640 (631–702)`."""
    middle, low, high = (f"{spread[name] * unit:,.{digits}f}" for name in ("median", "low", "high"))
    return f"{middle} ({low}–{high})"


def print_notes(console: Console, result: dict[str, Any]) -> None:
    """Print the floor of one loop, and how far its losses differ from the plain loop's."""
    if not result["compiled"]:
        floor_ms = 1000 * result["floor_s"]["median"]
        console.print(f"{result['loop']}: its matrix products alone take {floor_ms:,.0f} ms.")
    apart = result["largest_loss_difference"]
    if apart is not None:
        console.print(f"{result['loop']}: its losses differ from the plain loop's by at most {apart:.1g} nats.")


def print_compiling(console: Console, result: dict[str, Any]) -> None:
    """Print how long compiling took, and after how many steps it has paid off."""
    steps = result["pays_after_steps"]
    pays = "its steps are not faster" if steps is None else f"it pays off after {steps:,} steps"
    console.print(f"{result['loop']}: compiling for the first time took {result['compile_s']:,.0f} s; {pays}.")


def print_overheads(console: Console, found: dict[str, Any]) -> None:
    """Print the parts of a run besides its steps."""
    table = make_table(console)
    table.add_column("besides the steps")
    for name in ("times", "each, ms", "together, s", "of the run"):
        table.add_column(name, justify="right")
    for row in found["overheads"]:
        cells = (f"{row['times']:,}", f"{1000 * row['each_s']:,.2f}", f"{row['seconds']:.1f}", f"{row['share']:.1%}")
        table.add_row(row["part"] + (" ¹" if row["once_per_worker"] else ""), *cells)
    share = sum(row["share"] for row in found["overheads"])
    seconds = sum(row["seconds"] for row in found["overheads"])
    table.add_row("all", "", "", f"{seconds:.1f}", f"{share:.1%}", style="bold")
    n_steps = found["config"]["max_steps"]
    console.print()
    console.print(table)
    console.print(
        f"Shares of a run of {n_steps:,} steps, which takes {format_duration(found['run_s'])} if it runs alone."
    )
    once_s = sum(row["seconds"] for row in found["overheads"] if row["once_per_worker"])
    further = (seconds - once_s) / (found["run_s"] - once_s)
    console.print(
        f"¹ Only in the first run of a worker process; in its further runs all parts together take {further:.1%}."
    )
