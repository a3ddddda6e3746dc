"""Two runs side by side."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from gptexp.cli.cells import one_line
from gptexp.cli.console import make_console, make_table
from gptexp.cli.run_show import describe_member, format_value
from gptexp.measures.catalog import select
from gptexp.measures.ends import list_unsaid
from gptexp.runs.folder import RunFolder


def compare_runs(first: RunFolder, second: RunFolder) -> dict[str, Any]:
    """What differs, as plain data. `difference` is the second minus the first, None where one has no number."""
    settings = [identity_fields(folder) for folder in (first, second)]
    results = [read_result(folder) for folder in (first, second)]
    note = comparability(*settings)
    return {
        "runs": [
            {"run_id": folder.run_id, "members": [describe_member(row) for row in folder.members]}
            for folder in (first, second)
        ],
        "config": {
            name: [values.get(name) for values in settings]
            for name in dict.fromkeys([*settings[0], *settings[1]])
            if settings[0].get(name) != settings[1].get(name)
        },
        "results": {
            name: {
                "first": results[0].get(name),
                "second": results[1].get(name),
                "difference": subtract(results[1].get(name), results[0].get(name)),
            }
            for name in ("outcome", *select(lambda measure: measure.of_result))
        },
        "losses_comparable": note is None,
        "note": note,
    }


def read_result(folder: RunFolder) -> dict[str, Any]:
    """The result's fields, without the final losses that are no ends of the run."""
    result = folder.result or {}
    unsaid = list_unsaid(folder.outcome, result.get("last_step"), folder.fields.get("max_steps"))
    return {"outcome": folder.outcome, **result, **dict.fromkeys(unsaid)}


def identity_fields(folder: RunFolder) -> dict[str, Any]:
    """The config fields and what else decides the numbers."""
    about, origin = folder.config, folder.origin
    return {
        **folder.fields,
        "corpus_checksum": read_checksum(about.get("corpus")),
        "tokenizer_checksum": read_checksum(about.get("tokenizer")),
        "n_params": about.get("n_params"),
        "engine_version": about.get("engine_version"),
        "fork_parent": origin.parent if origin else None,
        "fork_step": origin.step if origin else None,
    }


def read_checksum(about: Any) -> Any:
    """The checksum of a corpus or tokenizer as config.json describes it; None where it doesn't."""
    return about.get("checksum") if isinstance(about, dict) else None


def comparability(first: dict[str, Any], second: dict[str, Any]) -> str | None:
    """Why the losses can't be compared; None where they can."""
    if first["corpus_checksum"] != second["corpus_checksum"]:
        return (
            "The corpora differ: losses in nats per token are not comparable; bits per byte (bpb) share a unit, "
            "but were measured on different texts."
        )
    if first["tokenizer_checksum"] != second["tokenizer_checksum"]:
        return (
            "The tokenizers differ: losses in nats per token are not comparable; bits per byte (bpb) are, "
            "because the text is the same."
        )
    return None


def subtract(minuend: Any, subtrahend: Any) -> float | int | None:
    """The difference of two numbers, else None."""
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in (minuend, subtrahend)):
        return None
    difference: float | int = minuend - subtrahend
    return difference


def print_comparison(comparison: dict[str, Any]) -> None:
    """Two tables and a word on whether the losses can be compared."""
    console = make_console()
    ids = [run["run_id"] for run in comparison["runs"]]
    for run in comparison["runs"]:
        names = "; ".join(dict.fromkeys(f"{row['study']} {row['arm']}" for row in run["members"]))
        console.print(one_line(f"{run['run_id']}  {names}"), soft_wrap=True)
    console.print()
    if comparison["config"]:
        table = new_table(console, "config", *ids)
        for name, values in comparison["config"].items():
            table.add_row(one_line(name), *(one_line(shorten(name, value)) for value in values))
        console.print(table)
    else:
        console.print("Their configs are the same.")
    console.print()
    table = new_table(console, "result", *ids, "difference", justify="right")
    for name, row in comparison["results"].items():
        if (row["first"], row["second"]) == (None, None):
            continue
        difference = row["difference"]
        signed = "" if difference is None else format_value(difference)
        table.add_row(
            one_line(name),
            *(one_line(format_value(row[key])) for key in ("first", "second")),
            f"+{signed}" if difference is not None and difference > 0 else signed,
        )
    console.print(table)
    if comparison["note"]:
        console.print(f"\n{comparison['note']}", style="bold yellow")


def shorten(name: str, value: Any) -> str:
    """A setting as text; of a checksum the first digits."""
    return str(value)[:12] if name.endswith("_checksum") else str(value)


def new_table(console: Console, first: str, *others: str, justify: Any = "left") -> Table:
    """A plain table: names, then values."""
    table = make_table(console)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify=justify, overflow="fold")
    return table
