"""report: the recorded runs as a page."""

from __future__ import annotations

from pathlib import Path

import click

from gptexp.cli.options import runs_dir_option


@click.command("report")
@click.argument("name", required=False)
@runs_dir_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder of the page  [default: reports/out/NAME]",
)
@click.option("--study", "studies", multiple=True, metavar="STUDY", help="Only this study; repeatable.")
@click.option("--scale", "scales", multiple=True, metavar="SCALE", help="Only this scale; repeatable.")
def report_command(
    name: str | None, runs_dir: Path, out: Path | None, studies: tuple[str, ...], scales: tuple[str, ...]
) -> None:
    """Turn the recorded runs into a page with figures and tables.

    NAME is a file in reports/; left out, the page shows every study that has runs.

    \b
    Examples:
      gptexp report
      gptexp report --study lr-ablation --scale quick --out my-page
      gptexp report --runs-dir somewhere/runs
    """
    from gptexp.studies.scales import find_scale

    for scale in scales:
        find_scale(scale)
    from gptexp.report import build_report

    target = out or Path("reports/out") / (name or "study")
    page = build_report(name, runs_dir=runs_dir, out=target, studies=studies or None, scales=scales or None)
    click.echo(f"The page: {page}")
