"""The commands runs verify, runs rm and runs gc."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gptexp.cli.options import json_option, print_json, runs_dir_option
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError
from gptexp.text import visible

if TYPE_CHECKING:
    from gptexp.tracking.housekeeping import Freed
    from gptexp.tracking.verify import Verdict

PUBLISHED = (Path("reports/published"),)
"""Folders of published reports. Runs that their manifests name are kept."""


@click.command("verify")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@runs_dir_option
@json_option
def verify_command(ids: tuple[str, ...], runs_dir: Path, as_json: bool) -> int:
    """Check all runs or the given ones: ids, checksums, and whether the files agree. Exits with 1 if any is damaged.

    To check packed records, name their folder with --runs-dir.

    Every number of a result is computed again from the records. Runs of older versions have no checksums; they count
    as not checked if their files agree.

    \b
    Examples:
      gptexp runs verify
      gptexp runs verify 4f95ca --json
    """
    found = verify_all(ids, runs_dir)
    words = [verdict.word for verdict in found.values()]
    if as_json:
        rows = {run_id: dataclasses.asdict(verdict) | {"verdict": verdict.word} for run_id, verdict in found.items()}
        print_json("gptexp.verification/1", [{"run_id": run_id, **row} for run_id, row in rows.items()])
    else:
        for run_id, verdict in found.items():
            if verdict.problems:
                say(f"{run_id}: {visible('; '.join(verdict.problems))}")
        say(f"{words.count('sound')} of {len(words)} runs are sound.")
        if unchecked := words.count("not checked"):
            say(f"{unchecked} not checked: made before runs had checksums. Their files agree with each other.")
    return 0 if set(words) <= {"sound", "not checked"} else 1


def verify_all(ids: tuple[str, ...], runs_dir: Path) -> dict[str, Verdict]:
    """The verdict on each given run, or on all runs.

    Raises:
        GptexpError: there is no such run, or the folder can't be listed.
    """
    from gptexp.tracking.housekeeping import list_run_dirs
    from gptexp.tracking.packs import is_packed
    from gptexp.tracking.run_dir import find_run
    from gptexp.tracking.verify import verify_run

    if is_packed(runs_dir):
        from gptexp.runs.verify_pack import verify_pack

        found = verify_pack(runs_dir)
        if missing := [one for one in ids if not any(name.startswith(one) for name in found)]:
            raise GptexpError(f"there is no run {missing[0]!r} in {runs_dir}; `gptexp runs list` shows all")
        return {name: verdict for name, verdict in found.items() if not ids or name.startswith(ids)}
    run_dirs = [find_run(runs_dir, run_id) for run_id in ids] or list_run_dirs(runs_dir)
    return {run_dir.path.name: verify_run(run_dir) for run_dir in run_dirs}


@click.command("rm")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--force", is_flag=True, help="Also delete runs that a report under reports/published/ names.")
@runs_dir_option
@json_option
def rm_command(ids: tuple[str, ...], force: bool, runs_dir: Path, as_json: bool) -> None:
    """Delete runs and all their records permanently, without asking.

    A run that a manifest under reports/published/ names is kept unless --force is given.

    \b
    Examples:
      gptexp runs rm 4f95ca 71b732
    """
    from gptexp.tracking.housekeeping import clear_removed_runs, published_run_ids, remove_run
    from gptexp.tracking.run_dir import find_run

    run_dirs = [find_run(runs_dir, run_id) for run_id in ids]
    published = published_run_ids(PUBLISHED)
    kept = sorted({run_dir.path.name for run_dir in run_dirs} & published)
    if kept and not force:
        raise GptexpError(f"a published report needs {', '.join(kept)}; use --force to remove it anyway")
    clear_removed_runs(runs_dir)
    removed = []
    for run_dir in run_dirs:
        freed = remove_run(run_dir)
        removed.append(freed)
        say(f"{freed.run_id}: removed, {format_bytes(freed.n_bytes)}")
    if as_json:
        print_freed(removed, {}, dry_run=False)


def print_freed(freed: Sequence[Freed], kept: Mapping[str, str], *, dry_run: bool) -> None:
    """What `rm` and `gc` deleted, for --json.

    Args:
        kept: run id -> why nothing of it, or not all, was deleted.
    """
    about = {"dry_run": dry_run, "n_bytes": sum(item.n_bytes for item in freed)}
    rows = [dataclasses.asdict(item) for item in freed]
    print_json("gptexp.freed/1", {**about, "freed": rows, "kept": dict(kept)})


@click.command("gc")
@click.option("--weights", is_flag=True, help="Also delete weights of finished runs; records and samples stay.")
@click.option("--force", is_flag=True, help="Also delete weights of runs that a published report names.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@runs_dir_option
@json_option
def gc_command(weights: bool, force: bool, dry_run: bool, runs_dir: Path, as_json: bool) -> None:
    """Free space: delete leftovers of interrupted writes and optimizer states of finished runs.

    \b
    Examples:
      gptexp runs gc --dry-run
      gptexp runs gc --weights
    """
    from gptexp.tracking.housekeeping import clean_run, clear_removed_runs, list_run_dirs, published_run_ids

    published = published_run_ids(PUBLISHED) if weights and not force else set()
    freed, kept = list(clear_removed_runs(runs_dir, dry_run=dry_run)), {}
    for item in freed:
        say(f"{item.run_id}: {item.what}, {format_bytes(item.n_bytes)}")
    for run_dir in list_run_dirs(runs_dir):
        keep = run_dir.path.name in published
        try:
            cleaned = clean_run(run_dir, weights=weights and not keep, dry_run=dry_run)
        except GptexpError as error:
            kept[run_dir.path.name] = f"skipped, {error}"
            say(f"{run_dir.path.name}: {kept[run_dir.path.name]}", err=True)
            continue
        if weights and keep:
            kept[run_dir.path.name] = "weights kept, a published report needs this run (--force deletes them)"
            say(f"{run_dir.path.name}: {kept[run_dir.path.name]}")
        for item in cleaned:
            say(f"{item.run_id}: {visible(item.what)}, {format_bytes(item.n_bytes)}")
        freed += cleaned
    say(f"{'Would free' if dry_run else 'Freed'} {format_bytes(sum(item.n_bytes for item in freed))}.")
    if as_json:
        print_freed(freed, kept, dry_run=dry_run)


def format_bytes(n_bytes: int) -> str:
    """`1.5 MB`, in powers of ten."""
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")
