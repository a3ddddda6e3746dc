"""report: the recorded runs as a page."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gptexp.cli.options import runs_dir_option
from gptexp.errors import GptexpError

if TYPE_CHECKING:
    from gptexp.analysis.wandb_source import FetchedRuns


@click.command("report")
@click.argument("name", required=False)
@runs_dir_option
@click.option(
    "--from",
    "place",
    metavar="wandb:ENTITY/PROJECT",
    default=None,
    help="Read the runs that are mirrored in W&B instead of a folder.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder of the page  [default: reports/out/NAME]",
)
@click.option("--study", "studies", multiple=True, metavar="STUDY", help="Only this study; repeatable.")
@click.option("--scale", "scales", multiple=True, metavar="SCALE", help="Only this scale; repeatable.")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="With --from: only this W&B group; repeatable.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="With --from: only this W&B tag; repeatable.")
@click.option(
    "--check", is_flag=True, help="Write nothing; exit 1 if the published page no longer follows from its records."
)
@click.pass_context
def report_command(
    context: click.Context,
    name: str | None,
    runs_dir: Path,
    place: str | None,
    out: Path | None,
    studies: tuple[str, ...],
    scales: tuple[str, ...],
    groups: tuple[str, ...],
    tags: tuple[str, ...],
    check: bool,
) -> None:
    """Turn the recorded runs into a page with figures and tables.

    NAME is a file in reports/: `lesson` is the lesson's page, with every figure and table as files to paste; `study`,
    which is what a name left out means, shows every study that has runs. What was fetched from W&B is kept in
    gptexp's cache folder, so a second report fetches only what is new.

    \b
    Examples:
      gptexp report
      gptexp report lesson
      gptexp report lesson --check
      gptexp report --study lr-ablation --scale quick --out my-page
      gptexp report --runs-dir somewhere/runs
      gptexp report --from wandb:my-team/gptexp --study lr-ablation --tag quick
    """
    from gptexp.studies.scales import find_scale

    for scale in scales:
        find_scale(scale)
    run_ids: Collection[str] | None = None
    if place is None and (groups or tags):
        raise GptexpError("--group and --tag choose among runs in W&B; add --from wandb:ENTITY/PROJECT")
    if place is not None:
        if context.get_parameter_source("runs_dir") is click.core.ParameterSource.COMMANDLINE:
            raise GptexpError("--from and --runs-dir name two places to read from; leave one of them out")
        fetched = fetch(place, studies, groups, tags)
        runs_dir, run_ids = fetched.folder, fetched.run_ids
    from gptexp.report import build_report

    target = out or Path("reports/out") / (name or "study")
    if check:
        say_whether_it_follows(context, name or "study", runs_dir, target, studies, scales, run_ids)
        return
    page = build_report(
        name, runs_dir=runs_dir, out=target, studies=studies or None, scales=scales or None, run_ids=run_ids
    )
    click.echo(f"The page: {page}")


def say_whether_it_follows(
    context: click.Context,
    name: str,
    runs_dir: Path,
    out: Path,
    studies: tuple[str, ...],
    scales: tuple[str, ...],
    run_ids: Collection[str] | None,
) -> None:
    """Print what no longer follows and exit 1, or say that all of it does."""
    from gptexp.report import check_report

    problems = check_report(
        name, runs_dir=runs_dir, out=out, studies=studies or None, scales=scales or None, run_ids=run_ids
    )
    if not problems:
        click.echo(f"{out} follows from the records in {runs_dir}")
        return
    for problem in problems:
        click.echo(f"{out}: {problem}")
    context.exit(1)


def fetch(place: str, studies: tuple[str, ...], groups: tuple[str, ...], tags: tuple[str, ...]) -> FetchedRuns:
    """Bring the cache up to date with W&B, showing how it goes.

    Raises:
        GptexpError: the place is none, can't be reached, or holds nothing that fits.
    """
    from rich.console import Console

    from gptexp.analysis.wandb_source import WandbQuery, fetch_runs, parse_place
    from gptexp.cli.fetch_view import FetchView

    entity, project = parse_place(place)
    with FetchView(Console(stderr=True)) as view:
        fetched = fetch_runs(WandbQuery(entity, project, studies, groups, tags), view)
    for note in fetched.notes:
        click.echo(note, err=True)
    return fetched
