"""runs: list, show, export and compare what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.advice import advise
from gptexp.cli.measure_columns import add_measures
from gptexp.cli.options import json_option, print_json, runs_dir_option
from gptexp.cli.run_housekeeping import gc_command, rm_command, verify_command
from gptexp.cli.run_list import MOST_COLOURED, print_runs
from gptexp.cli.run_pack import pack_command
from gptexp.cli.run_sync import sync_command
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError, did_you_mean
from gptexp.files import explain
from gptexp.paths import read_path
from gptexp.text import visible

if TYPE_CHECKING:
    from gptexp.runs.folder import RunFolder

OUTCOMES = ("completed", "diverged", "stopped", "interrupted", "failed", "unfinished")


@click.group("runs")
def runs_group() -> None:
    """List, show, compare, export, check and clean recorded runs.

    A run id may be shortened to its first digits.

    \b
    Examples:
      gptexp runs list --study lr-ablation
      gptexp runs show 4f95ca
      gptexp runs compare 4f95ca 71b732
      gptexp runs export 4f95ca --format parquet
    """


@runs_group.command("list")
@click.option("--study", default=None, help="Only runs that serve this study.")
@click.option("--scale", default=None, help="Only runs at this scale.")
@click.option("--outcome", type=click.Choice(OUTCOMES), default=None, help="Only runs that ended like this.")
@click.option(
    "--measure",
    "measures",
    multiple=True,
    metavar="NAME[@STEP]",
    help="A column more, read from the records: any measure of gptexp/measures/catalog.py, or of another package; "
    "repeatable.",
)
@click.option("--newest", is_flag=True, help="Newest first  [default: by study, scale, arm and seed]")
@runs_dir_option
@json_option
def list_command(
    study: str | None,
    scale: str | None,
    outcome: str | None,
    measures: tuple[str, ...],
    newest: bool,
    runs_dir: Path,
    as_json: bool,
) -> None:
    """One row per run, arms of a study beside each other. Losses are nats per token.

    \b
    Examples:
      gptexp runs list
      gptexp runs list --study lr-ablation --scale quick
      gptexp runs list --outcome diverged --json
      gptexp runs list --measure perplexity --measure train_loss@500
    """
    from gptexp.files import DENIED
    from gptexp.machine import count_cores
    from gptexp.processes import ALONE, Processes
    from gptexp.runs.folders import read_run_folders, wake
    from gptexp.runs.listing import list_folders
    from gptexp.tracking.run_dir import list_runs_folder

    if scale is not None:
        from gptexp.studies.scales import find_scale

        find_scale(scale)
    # A few runs are listed before another process would have begun.
    is_many = len(list_runs_folder(runs_dir)) > MOST_COLOURED
    with Processes(count_cores(), wake) if is_many else ALONE as processes:
        folders, damaged = read_run_folders(runs_dir, processes=processes)
    every = list_folders(folders)
    rows = [row for run in every if (row := place_run(run, study, scale)) and outcome in (None, row["outcome"])]
    rows.sort(key=lambda row: [str(row[key] or "") for key in ("study", "scale", "arm")] + [str(row["seed"]).zfill(20)])
    add_measures(rows, measures, runs_dir)
    if newest:
        rows.sort(key=lambda row: str(row["finished_at"] or "9999"), reverse=True)
    if as_json:
        print_json("gptexp.runs/1", rows)
    else:
        print_runs(rows, measures)
    for path, reason in damaged:
        say(f"gptexp: {'unreadable' if DENIED in reason else 'damaged'} run {path}: {visible(reason)}", err=True)
    if not rows:
        say(describe_nothing(every, study, runs_dir), err=True)


def place_run(run: dict[str, Any], study: str | None, scale: str | None) -> dict[str, Any] | None:
    """The run under the membership that was asked for; None where it has no such one."""
    if study is None and scale is None:
        return run
    for member in run["members"]:
        if study in (None, member["study"]) and scale in (None, member["scale"]):
            return {**run, **{key: member[key] for key in ("study", "arm", "label", "scale", "seed", "variant")}}
    return None


def describe_nothing(every: Sequence[dict[str, Any]], study: str | None, runs_dir: Path) -> str:
    """Why a list is empty."""
    if not every:
        return f"No runs in {runs_dir}; {advise('gptexp run lr-ablation', runs_dir)} makes some."
    studies = {str(member["study"]) for run in every for member in run["members"]}
    hint = did_you_mean(study, studies) if study is not None and study not in studies else ""
    return f"None of the {len(every)} runs in {runs_dir} is like that{hint}"


for command in (verify_command, rm_command, gc_command, pack_command, sync_command):
    runs_group.add_command(command)


@runs_group.command("show")
@click.argument("run", metavar="ID")
@click.option("--records", "n_records", type=click.IntRange(min=0), default=5, show_default=True, help="Last records.")
@runs_dir_option
@json_option
def show_command(run: str, n_records: int, runs_dir: Path, as_json: bool) -> None:
    """Everything about one run: config, result, who asked for it, provenance, last records, samples.

    \b
    Examples:
      gptexp runs show 4f95ca
      gptexp runs show 4f95ca --records 20
      gptexp runs show 4f95ca --json
    """
    from gptexp.cli.run_show import describe_run, print_run

    description = describe_run(read_run(runs_dir, run), n_records)
    if as_json:
        print_json("gptexp.run/1", description)
    else:
        print_run(description)


@runs_group.command("export")
@click.argument("run", metavar="ID")
@click.option(
    "--format", "file_format", type=click.Choice(["csv", "parquet", "json"]), default="csv", show_default=True
)
@click.option("--out", metavar="FILE", default=None, help="Where to; - is the standard output  [default: ID.FORMAT]")
@runs_dir_option
@json_option
def export_command(run: str, file_format: str, out: str | None, runs_dir: Path, as_json: bool) -> None:
    """The records of a run as one tidy table: one row per step, evaluation, sample and event.

    A field that a kind of record doesn't have stays empty; NaN and infinite losses stay what they are.

    \b
    Examples:
      gptexp runs export 4f95ca --format csv
      gptexp runs export 4f95ca --format parquet --out losses.parquet
      gptexp runs export 4f95ca --format csv --out - | head
    """
    from gptexp.cli.run_export import encode_table, tidy_rows
    from gptexp.files import write_atomic
    from gptexp.runs.folder import read_log

    if out == "-" and as_json:
        raise GptexpError("--out - and --json would both print; give --out FILE, or --format json without --json")
    if out == "-" and file_format == "parquet":
        raise GptexpError("parquet is binary and would garble a terminal; give --out FILE, or use csv or json")
    folder = read_run(runs_dir, run)
    records, problem = read_log(folder)
    if problem:
        say(f"gptexp: run {folder.run_id}: {problem}", err=True)
    data = encode_table(tidy_rows(folder.run_id, records), file_format)
    if out == "-":
        # A pipe gets the bytes; a terminal would obey what stands in them.
        if sys.stdout.isatty():
            say(data.decode(), end="")
        else:
            click.echo(data, nl=False)
        return
    path = read_path(out or f"{folder.run_id}.{file_format}")
    write_atomic(path, data)
    if as_json:
        about = {"run_id": folder.run_id, "file": str(path), "file_format": file_format, "n_records": len(records)}
        print_json("gptexp.exported-records/1", {**about, "problem": problem})
    say(f"{path}: {len(records):,} records")


@runs_group.command("compare")
@click.argument("first", metavar="ID")
@click.argument("second", metavar="ID")
@runs_dir_option
@json_option
def compare_command(first: str, second: str, runs_dir: Path, as_json: bool) -> None:
    """Two runs side by side: where their configs differ, and how far their results are apart.

    \b
    Examples:
      gptexp runs compare 4f95ca 71b732
      gptexp runs compare 4f95ca 71b732 --json
    """
    from gptexp.cli.run_compare import compare_runs, print_comparison

    one, other = read_run(runs_dir, first), read_run(runs_dir, second)
    if one.run_id == other.run_id:
        raise GptexpError(f"{first!r} and {second!r} are the same run {one.run_id}; give two different ones")
    comparison = compare_runs(one, other)
    if as_json:
        print_json("gptexp.comparison/1", comparison)
    else:
        print_comparison(comparison)


def read_run(runs_dir: Path, run_id: str) -> RunFolder:
    """The run folder that a possibly shortened id means.

    Raises:
        GptexpError: there is none, there are several, it has not begun, or its config can't be read.
    """
    from gptexp.runs.folder import read_run_folder
    from gptexp.tracking.advice import advise_anew
    from gptexp.tracking.run_dir import RunDir, find_run

    path = find_run(runs_dir, run_id).path
    try:
        folder = read_run_folder(path)
    except PermissionError as error:
        raise GptexpError(f"run {path.name} can't be read: {explain(error)}") from None
    except (OSError, ValueError) as error:
        raise GptexpError(
            f"run {path.name} can't be read: {visible(str(error))}; {advise_anew(RunDir(path))} trains it again"
        ) from None
    if not folder.started:
        raise GptexpError(f"run {path.name} was asked for and has not begun, so there is nothing to see yet")
    for problem in folder.problems:
        say(f"gptexp: run {folder.run_id}: {visible(problem)}", err=True)
    return folder
