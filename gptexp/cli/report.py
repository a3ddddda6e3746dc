"""report: the recorded runs as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.cli.options import UserPath, json_option, print_json, runs_dir_option, wandb_option
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError
from gptexp.text import quote_words

if TYPE_CHECKING:
    from gptexp.report.document import BuiltReport
    from gptexp.runs.wandb_source import FetchedRuns


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
    type=UserPath(file_okay=False),
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
@click.option("--strict", is_flag=True, help="Exit 1 if the page's text asserts what the claim ledger refutes.")
@click.option(
    "--publish",
    type=UserPath(file_okay=False),
    default=None,
    help="Also write the page for GitHub Pages or a static Space to this folder.",
)
@click.option("--to-wandb", is_flag=True, help="Also log the page to a W&B run; its files for W&B lie in OUT-wandb.")
@wandb_option
@json_option
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
    strict: bool,
    publish: Path | None,
    to_wandb: bool,
    wandb_mode: str | None,
    as_json: bool,
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
      gptexp report lesson --strict
      gptexp report --study lr-ablation --scale quick --out my-page
      gptexp report --runs-dir somewhere/runs
      gptexp report --from wandb:my-team/gptexp --study lr-ablation --tag quick
      gptexp report lesson --publish docs
      gptexp report lesson --to-wandb
    """
    from gptexp.studies.scales import find_scale

    for scale in scales:
        find_scale(scale)
    run_ids: Collection[str] | None = None
    if wandb_mode and not to_wandb:
        raise GptexpError("--wandb says where a report is logged to; add --to-wandb")
    if check and publish:
        raise GptexpError("--check writes nothing; leave out --publish, or --check")
    if check and to_wandb:
        raise GptexpError("--check logs nothing; leave out --to-wandb, or --check")
    if place is None and (groups or tags):
        raise GptexpError("--group and --tag choose among runs in W&B; add --from wandb:ENTITY/PROJECT")
    if place is not None:
        if context.get_parameter_source("runs_dir") is click.core.ParameterSource.COMMANDLINE:
            raise GptexpError("--from and --runs-dir name two places to read from; leave one of them out")
        fetched = fetch(place, studies, groups, tags)
        runs_dir, run_ids = fetched.folder, fetched.run_ids
    from gptexp.report.workers import start_processes

    target = out or Path("reports/out") / (name or "study")
    check_places(target, publish, runs_dir)
    chosen: dict[str, Any] = {
        "runs_dir": runs_dir,
        "out": target,
        "studies": studies or None,
        "scales": scales or None,
        "run_ids": run_ids,
    }
    report: BuiltReport | None
    with start_processes(runs_dir) as processes:
        # Imported while they start.
        if check:
            from gptexp.report.check import check_report

            checked = check_report(name or "study", **chosen, processes=processes)
            report = checked.fresh
        else:
            from gptexp.report.build import build_report

            report = build_report(name, **chosen, processes=processes)
    problems, url = checked.problems if check else [], None
    if check:
        say_whether_it_follows(problems, target, runs_dir)
    elif report:
        print_what_cannot_show(report)
        say(f"The page: {report.page}")
        if publish:
            publish_page(report, publish)
        if to_wandb:
            url = send(target, place, wandb_mode)
    if strict and report:
        say_what_is_refuted(report)
    if as_json:
        places = {"page": None if check or not report else str(report.page), "published": publish and str(publish)}
        print_json("gptexp.report/1", describe_report(name or "study", report, problems) | places | {"wandb_url": url})
    if problems or (strict and report and report.contradictions):
        context.exit(1)


def describe_report(name: str, report: BuiltReport | None, problems: Sequence[str]) -> dict[str, Any]:
    """A report without the places that it was written to, for --json.

    Args:
        report: None where --check can't make it.
        problems: what --check found.
    """
    rows = report.claims if report else []
    names = ("name", "sentence", "true_sentence", "instance", "asserted_in")
    return {
        "report": name,
        "problems": list(problems),
        "n_runs": len(report.manifest["runs"]) if report else 0,
        "files": sorted(report.files) if report else [],
        "cannot_show": report.cannot_show if report else {},
        "verdicts": dict(Counter(row["verdict"] for row in rows)),
        "contradictions": [{key: row[key] for key in names} for row in (report.contradictions if report else [])],
    }


def check_places(out: Path, publish: Path | None, runs_dir: Path) -> None:
    """Refuse to write a page among the runs, where every command would take its folder for a run, or two in one place.

    Raises:
        GptexpError: which option names such a folder.
    """
    from gptexp.files import within_folder

    for option, folder in (("--out", out), ("--publish", publish)):
        if folder is not None and within_folder(folder, runs_dir):
            raise GptexpError(f"{folder} lies in the folder of runs {runs_dir}; choose another folder with {option}")
    if publish is not None and within_folder(publish, out) and within_folder(out, publish):
        raise GptexpError(f"--publish {publish} is the page's own folder; choose another one, or another --out")


def publish_page(report: BuiltReport, folder: Path) -> None:
    """Write the page for a web host, and say where it goes.

    Raises:
        GptexpError: the folder holds other things, or can't be written.
    """
    from gptexp.report.site import publish_report

    publish_report(report, folder)
    say(f"To publish: {folder}")
    say("  GitHub: commit it as docs/ and choose that folder under Settings, Pages.")
    say(f"  Hugging Face: hf upload NAME {quote_words([str(folder)])} . --repo-type space")


def say_what_is_refuted(report: BuiltReport) -> None:
    """Print what the page asserts and its ledger refutes, with what would be true; or say so of none."""
    for row in report.contradictions:
        where = f"chapter {', '.join(row['asserted_in'])}"
        against = row["instance"] or "a count"
        say(f"{row['name']}: the page says “{row['sentence']}” ({where}), and {against} refutes it.")
        say(f"  True instead: {row['true_sentence']}")
    if not report.contradictions:
        say(f"Strict: nothing that the page asserts is refuted by its claim ledger ({count_asserted(report)}).")


def count_asserted(report: BuiltReport) -> str:
    """How the sentences that the page asserts or quotes stand, and how many refuted claims it leaves out."""
    if not report.claims:
        return "this report has no claim ledger"
    asserted = [row["verdict"] for row in report.claims if row["asserted_in"]]
    counts = ", ".join(f"{asserted.count(verdict)} {verdict}" for verdict in dict.fromkeys(asserted))
    silent = sum(row["verdict"] == "refuted" and not row["asserted_in"] for row in report.claims)
    return f"of {len(asserted)} claims that it asserts: {counts}; {silent} refuted ones it doesn't assert"


def print_what_cannot_show(report: BuiltReport) -> None:
    """What makes the studies of a report show less than they seem to."""
    from gptexp.cli.console import WIDE, make_console
    from gptexp.cli.summary_view import print_cannot_show

    console = make_console(piped_width=WIDE)
    for study, sentences in report.cannot_show.items():
        print_cannot_show(console, study, sentences)


def say_whether_it_follows(problems: Sequence[str], out: Path, runs_dir: Path) -> None:
    """Print what no longer follows, or say that all of it does."""
    if not problems:
        say(f"{out} follows from the records in {runs_dir}")
    for problem in problems:
        say(f"{out}: {problem}")


def fetch(place: str, studies: tuple[str, ...], groups: tuple[str, ...], tags: tuple[str, ...]) -> FetchedRuns:
    """Bring the cache up to date with W&B, showing how it goes.

    Raises:
        GptexpError: the place is none, can't be reached, or holds nothing that fits.
    """
    from gptexp.cli.console import make_console
    from gptexp.cli.fetch_view import FetchView
    from gptexp.runs.wandb_source import WandbQuery, fetch_runs, parse_place

    entity, project = parse_place(place)
    with FetchView(make_console(stderr=True)) as view:
        fetched = fetch_runs(WandbQuery(entity, project, studies, groups, tags), view)
    for note in fetched.notes:
        say(note, err=True)
    return fetched


def send(bundle: Path, place: str | None, asked: str | None) -> str | None:
    """Log a written bundle to W&B, to the project that it was read from where that is one; returns its address there.

    Raises:
        GptexpError: W&B is disabled, or did not take it.
    """
    from gptexp.mirrors.wandb import choose_mode
    from gptexp.mirrors.wandb_client import choose_project
    from gptexp.report.publish import log_report
    from gptexp.runs.wandb_source import parse_place

    mode = choose_mode(asked)
    if mode == "disabled":
        raise GptexpError("--to-wandb can't log a report while W&B is disabled; use --wandb online or offline")
    entity, project = parse_place(place) if place else (None, choose_project())
    folder = bundle.parent / f"{bundle.name}-wandb"
    url = log_report(bundle, mode, entity=entity, project=project, folder=folder)
    if url:
        say(f"In W&B: {url}")
    else:
        kept = f"{quote_words([str(folder / 'wandb')])}/offline-run-*"
        say(f"Kept for W&B in {folder}; `wandb sync {kept}` sends it")
    return url
