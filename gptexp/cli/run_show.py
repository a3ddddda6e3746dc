"""Describes and prints one run in full, for `runs show`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gptexp.cli.console import make_console
from gptexp.files import list_folder
from gptexp.measures.ends import list_unsaid
from gptexp.runs.folder import RunFolder, read_log
from gptexp.text import cut_text, visible
from gptexp.tracking.result import STOPPED

if TYPE_CHECKING:
    from pydantic import BaseModel

SAMPLES_SHOWN = 5
MOST_OF_SAMPLE, MOST_OF_VALUE = 2_000, 500
"""Largest number of characters printed of a sample and of another value; --json has all."""
MEMBER_KEYS = ("study", "arm", "label", "scale", "seed", "variant", "asked_at")


def describe_run(folder: RunFolder, n_records: int) -> dict[str, Any]:
    """The run as JSON-like data: the content of its folder, its last `n_records` records and all its samples."""
    records, problem = read_log(folder)
    tail = [record for record in records if record["kind"] != "sample"]
    return {
        "run_id": folder.run_id,
        "path": str(folder.path),
        "outcome": folder.outcome,
        "fork": folder.origin.to_json() if folder.origin else None,
        "engine_version": folder.config.get("engine_version"),
        "n_params": folder.config.get("n_params"),
        "config": folder.fields,
        "corpus": folder.config.get("corpus"),
        "tokenizer": folder.config.get("tokenizer"),
        "result": folder.result,
        "members": [describe_member(row) for row in folder.members],
        "provenance": folder.provenance,
        "wandb_url": folder.wandb_url,
        "checkpoints": checkpoint_steps(folder.path / "checkpoints"),
        "records": tail[len(tail) - min(n_records, len(tail)) :],
        "n_records": len(records),
        "samples": [record for record in records if record["kind"] == "sample"],
        "problems": [*folder.problems, *([problem] if problem else [])],
    }


def describe_member(row: Mapping[str, Any]) -> dict[str, Any]:
    """The main keys of a membership: which study asked for the run, and as what."""
    return {key: row.get(key) for key in MEMBER_KEYS}


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps of all checkpoints. (gptexp.training.checkpoint lists them too, but imports torch.)"""
    with contextlib.suppress(OSError):
        names = [entry.name for entry in list_folder(folder, folder.parent) if entry.kind == "folder"]
        return sorted(int(name[5:]) for name in names if name.startswith("step-") and name[5:].isdecimal())
    return []


def print_run(run: Mapping[str, Any]) -> None:
    """Print the result of `describe_run`, section by section."""
    console = make_console()
    console.print(
        Text.assemble((f"Run {run['run_id']}", "bold"), f"  {describe_outcome(run)}  in {visible(run['path'])}"),
        soft_wrap=True,
    )
    if fork := run["fork"]:
        changed = format_settings(fork["was"]) or "nothing"
        said = f"A fork of run {fork['parent']} at step {fork['step']:,}; what it changed was there: {changed}"
        console.print(said, soft_wrap=True)
    section(console, "Asked for by")
    for row in run["members"] or [{}]:
        who = f"{row['study']} · {row['arm']} · {row['scale']} · seed {row['seed']}" if row else "no study"
        console.print(indent(f"{who}   {format_settings(row.get('variant') or {})}".rstrip()))
    section(console, "Config")
    console.print(indent(grid(group_config(run["config"]))))
    section(console, "Data")
    console.print(indent(grid(describe_data(run))))
    section(console, "Result")
    print_result(console, run)
    section(console, "Provenance")
    for process in run["provenance"] or [{}]:
        console.print(indent(grid([(key, format_value(value)) for key, value in process.items() if value is not None])))
    if run["wandb_url"]:
        console.print(indent(grid([("wandb", visible(run["wandb_url"]))])))
    section(console, "Checkpoints")
    console.print(indent(", ".join(f"step {step:,}" for step in run["checkpoints"]) or "none"))
    section(console, f"Last records of {run['n_records']:,}")
    for record in run["records"]:
        fields = {key: value for key, value in record.items() if key not in ("kind", "step")}
        console.print(indent(f"{record['kind']} {record.get('step')}: {format_settings(fields)}"))
    print_samples(console, run["samples"])
    for problem in run["problems"]:
        console.print(Text(f"Damaged: {visible(problem)}", style="yellow"))


def describe_outcome(run: Mapping[str, Any]) -> str:
    """The outcome; for a run that was stopped as requested, also the step."""
    if run["outcome"] != STOPPED:
        return str(run["outcome"])
    return f"stopped {visible(str(run['result']['outcome_detail']))}, can be resumed"


def section(console: Console, title: str) -> None:
    """Print an empty line and a headline."""
    console.print()
    console.print(Text(title, style="bold"))


def print_result(console: Console, run: Mapping[str, Any]) -> None:
    """Print the fields of the result that have a value, without the final losses that are no ends of the run."""
    result = run["result"]
    if result is None:
        console.print(indent("none yet: the run is unfinished"))
        return
    unsaid = list_unsaid(run["outcome"], result.get("last_step"), run["config"].get("max_steps"))
    hidden = {"run_id", *unsaid}
    rows = [(key, format_value(value)) for key, value in result.items() if value is not None and key not in hidden]
    console.print(indent(grid(rows)))


def print_samples(console: Console, samples: Sequence[Mapping[str, Any]]) -> None:
    """Print the last samples with the train loss at their step."""
    hidden = max(0, len(samples) - SAMPLES_SHOWN)
    section(console, "Samples" + (f" (the last {SAMPLES_SHOWN}; --json has {hidden} earlier ones)" if hidden else ""))
    for sample in samples[hidden:]:
        loss = sample.get("train_loss")
        after = f", train loss {format_value(loss)}" if loss is not None else ""
        console.print(
            indent(Text(f"step {sample.get('step')} ({visible(str(sample.get('trigger')))}){after}", style="dim"))
        )
        console.print(Padding(Text(visible(cut_text(str(sample.get("text", "")), MOST_OF_SAMPLE))), (0, 0, 0, 4)))
    if not samples:
        console.print(indent("none"))


def group_config(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(part of the config, its fields in the form of the command line); unknown fields come last."""
    from gptexp.config import DataConfig, LoopConfig, ModelConfig, OptimizerConfig, ScheduleConfig

    parts: dict[str, type[BaseModel]] = {
        "model": ModelConfig,
        "data": DataConfig,
        "optimizer": OptimizerConfig,
        "schedule": ScheduleConfig,
        "loop": LoopConfig,
    }
    rows = []
    left = dict(config)
    for name, part in parts.items():
        fields = {key: left.pop(key) for key in part.model_fields if key in left}
        rows.append((name, format_settings(fields)))
    return [*rows, *([("other", format_settings(left))] if left else [])]


def describe_data(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Corpus, tokenizer and number of parameters; without the character vocabulary, which --json has."""
    rows = []
    for name in ("corpus", "tokenizer"):
        about = run[name] if isinstance(run[name], dict) else {}
        fields = {key: value for key, value in about.items() if key != "vocabulary"}
        rows.append((name, format_settings(fields)))
    return [*rows, ("parameters", format_value(run["n_params"]))]


def format_settings(fields: Mapping[str, Any]) -> str:
    """Fields in one line, each value in the form of the command line: `step=6 lr=0.0006`."""
    return " ".join(f"{key}={show_plain(value)}" for key, value in fields.items())


def show_plain(value: Any) -> str:
    """A value for a line of assignments. Text with spaces, line breaks or invisible characters is quoted."""
    if isinstance(value, str):
        value = cut_text(value, MOST_OF_VALUE)
        shown = visible(value).replace("\n", "\\n")
        return f'"{shown}"' if not value or shown != value or " " in value else value
    return f"{value:.6g}" if isinstance(value, float) else visible(cut_text(str(value), MOST_OF_VALUE))


def format_value(value: Any) -> str:
    """A value by itself: integers with thousands separators, floats with six digits, None as a dash."""
    if value is None:
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return (
        f"{value:,.6g}"
        if isinstance(value, float)
        else visible(cut_text(str(value), MOST_OF_VALUE)).replace("\n", "\\n")
    )


def grid(rows: Sequence[tuple[str, str]]) -> Table:
    """Names and values in two columns."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(visible(name)), Text(visible(value)))
    return table


def indent(content: Any) -> Padding:
    """`content` indented by two columns. Text is printed without markup, with invisible characters escaped."""
    return Padding(Text(visible(content)) if isinstance(content, str) else content, (0, 0, 0, 2))
