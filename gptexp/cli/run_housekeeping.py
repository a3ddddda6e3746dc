"""runs verify, rm and gc."""

from __future__ import annotations

from pathlib import Path

import click

from gptexp.cli.options import json_option, print_json, runs_dir_option
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError
from gptexp.text import visible

PUBLISHED = (Path("reports/published"),)
"""Where published bundles lie; what their manifests point to is kept."""


@click.command("verify")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@runs_dir_option
@json_option
def verify_command(ids: tuple[str, ...], runs_dir: Path, as_json: bool) -> int:
    """Check every run folder (or those named): ids, records, results, checkpoint checksums. Exit status 1 on damage.

    \b
    Examples:
      gptexp runs verify
      gptexp runs verify 4f95ca --json
    """
    from gptexp.tracking.housekeeping import list_run_dirs, verify_run
    from gptexp.tracking.run_dir import find_run

    run_dirs = [find_run(runs_dir, run_id) for run_id in ids] or list_run_dirs(runs_dir)
    found = {run_dir.path.name: verify_run(run_dir) for run_dir in run_dirs}
    damaged = {run_id: problems for run_id, problems in found.items() if problems}
    if as_json:
        print_json([{"run_id": run_id, "problems": problems} for run_id, problems in found.items()])
    else:
        for run_id, problems in damaged.items():
            say(f"{run_id}: {visible('; '.join(problems))}")
        say(f"{len(found) - len(damaged)} of {len(found)} runs are sound.")
    return 1 if damaged else 0


@click.command("rm")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--force", is_flag=True, help="Also runs that a report under reports/published/ points to.")
@runs_dir_option
def rm_command(ids: tuple[str, ...], force: bool, runs_dir: Path) -> None:
    """Delete runs and all their records, at once and for good.

    A run that a manifest under reports/published/ names is kept unless --force is given.

    \b
    Examples:
      gptexp runs rm 4f95ca 71b732
    """
    from gptexp.tracking.housekeeping import published_run_ids, remove_run
    from gptexp.tracking.run_dir import find_run

    run_dirs = [find_run(runs_dir, run_id) for run_id in ids]
    published = published_run_ids(PUBLISHED)
    kept = sorted({run_dir.path.name for run_dir in run_dirs} & published)
    if kept and not force:
        raise GptexpError(f"a published report points to {', '.join(kept)}; --force removes it all the same")
    for run_dir in run_dirs:
        freed = remove_run(run_dir)
        say(f"{freed.run_id}: removed, {format_bytes(freed.n_bytes)}")


@click.command("gc")
@click.option("--weights", is_flag=True, help="Also the weights of runs that are done; records and samples stay.")
@click.option("--force", is_flag=True, help="Also weights of runs that a published report points to.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and keep it.")
@runs_dir_option
def gc_command(weights: bool, force: bool, dry_run: bool, runs_dir: Path) -> None:
    """Free space: leftovers of interrupted writes and optimizer states of runs that are done.

    \b
    Examples:
      gptexp runs gc --dry-run
      gptexp runs gc --weights
    """
    from gptexp.tracking.housekeeping import clean_run, list_run_dirs, published_run_ids

    published = published_run_ids(PUBLISHED) if weights and not force else set()
    total = 0
    for run_dir in list_run_dirs(runs_dir):
        keep = run_dir.path.name in published
        try:
            freed = clean_run(run_dir, weights=weights and not keep, dry_run=dry_run)
        except GptexpError as error:
            say(f"{run_dir.path.name}: left alone, {error}", err=True)
            continue
        if weights and keep:
            say(f"{run_dir.path.name}: weights kept, a published report points to it (--force takes them)")
        for item in freed:
            total += item.n_bytes
            say(f"{item.run_id}: {visible(item.what)}, {format_bytes(item.n_bytes)}")
    say(f"{'Would free' if dry_run else 'Freed'} {format_bytes(total)}.")


def format_bytes(n_bytes: int) -> str:
    """`1.5 MB`, in powers of ten."""
    size = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")
