"""run, plan and train."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.cli.options import (
    Decorator,
    corpus_option,
    json_option,
    print_json,
    runs_dir_option,
    scale_option,
    wandb_option,
)

if TYPE_CHECKING:
    from gptexp.studies.launchers import LocalLauncher
    from gptexp.studies.plan import PlannedRun
    from gptexp.studies.study import StudyRequest


def study_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `run` and `plan` share."""
    decorators: list[Decorator] = [
        click.argument("studies", nargs=-1, required=True, metavar="STUDY..."),
        scale_option,
        click.option("--seeds", type=click.IntRange(min=1), default=None, help="Seeds per arm  [default: the study's]"),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a config field; repeatable."
        ),
        corpus_option,
        click.option(
            "--jobs", type=click.IntRange(min=1), default=None, help="Runs at once  [default: as the cores allow]"
        ),
        runs_dir_option,
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@click.command("run")
@study_options
@wandb_option
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--report/--no-report", "with_report", default=True, help="Write the page at the end.  [default: report]")
def run_command(
    studies: tuple[str, ...],
    scale: str | None,
    seeds: int | None,
    settings: tuple[str, ...],
    corpus: str | None,
    jobs: int | None,
    runs_dir: Path,
    wandb_mode: str | None,
    dry_run: bool,
    with_report: bool,
) -> int:
    """Train the arms of named studies side by side.

    A run that is already done is not trained again; one that was interrupted goes on.

    \b
    Examples:
      gptexp run lr-ablation
      gptexp run lr-ablation clipping --scale char --seeds 3
      gptexp run lr-ablation --set max_steps=100 --corpus my_text.txt --dry-run
    """
    requests = build_requests(studies, scale, seeds, settings, corpus)
    return carry_out(
        requests, runs_dir, jobs, wandb_mode, scale_named=scale is not None, dry_run=dry_run, with_report=with_report
    )


@click.command("plan")
@study_options
@json_option
def plan_command(
    studies: tuple[str, ...],
    scale: str | None,
    seeds: int | None,
    settings: tuple[str, ...],
    corpus: str | None,
    jobs: int | None,
    runs_dir: Path,
    as_json: bool,
) -> None:
    """Show what a run would do, without doing it.

    \b
    Examples:
      gptexp plan lr-ablation --scale laptop
      gptexp plan lr-ablation --seeds 5 --json
    """
    from gptexp.cli.plan_table import plan_rows, print_plan
    from gptexp.studies.plan import plan_runs

    requests = build_requests(studies, scale, seeds, settings, corpus)
    planned = plan_runs(requests, runs_dir)
    if as_json:
        print_json(plan_rows(planned))
    else:
        print_plan(planned, count_workers(planned, jobs), scale_named=scale is not None)


@click.command("train", context_settings={"ignore_unknown_options": True})
@click.argument("assignments", nargs=-1, type=click.UNPROCESSED, metavar="[KEY=VALUE]...")
@scale_option
@corpus_option
@runs_dir_option
@wandb_option
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
def train_command(
    assignments: tuple[str, ...],
    scale: str | None,
    corpus: str | None,
    runs_dir: Path,
    wandb_mode: str | None,
    dry_run: bool,
) -> int:
    """One run: a scale's config with the fields given as key=value or --key=value.

    \b
    Examples:
      gptexp train lr=1e-3 max_steps=100
      gptexp train --scale char --n_layer=2 --grad_clip=None --seed=7
    """
    from gptexp.config import parse_assignment
    from gptexp.studies.study import Arm, Study, StudyRequest

    overrides = dict(parse_assignment(text) for text in assignments)
    corpus = overrides.pop("corpus", corpus)
    seed = overrides.pop("seed", 1337)
    study = Study(
        name="train",
        question="One run, as asked for on the command line.",
        hypothesis="",
        source="",
        arms=(Arm("train", "train"),),
        first_seed=seed,
    )
    request = StudyRequest(study, choose_scale(scale), 1, overrides, corpus)
    return carry_out(
        [request], runs_dir, None, wandb_mode, scale_named=scale is not None, dry_run=dry_run, with_report=False
    )


def build_requests(
    studies: Sequence[str], scale: str | None, seeds: int | None, settings: Sequence[str], corpus: str | None
) -> list[StudyRequest]:
    """The command line as study requests; everything wrong with it is said here.

    Raises:
        GptexpError: an unknown study, scale or field, or a value that doesn't fit.
    """
    from gptexp.config import parse_assignment
    from gptexp.errors import GptexpError
    from gptexp.studies.study import StudyRequest, load_study

    overrides = dict(parse_assignment(text) for text in settings)
    corpus = overrides.pop("corpus", corpus)
    if "seed" in overrides:
        raise GptexpError("--set seed=... would give all seeds of an arm the same value; use --seeds N")
    chosen = choose_scale(scale)
    requests = []
    for name in dict.fromkeys(studies):
        study = load_study(name)
        requests.append(StudyRequest(study, chosen, seeds or study.seeds, overrides, corpus))
    return requests


def choose_scale(name: str | None) -> Any:
    """The scale that was named, or the one that this machine can carry."""
    from gptexp.studies.scales import find_scale

    if name is not None:
        return find_scale(name)
    import torch

    return find_scale("lesson" if torch.cuda.is_available() else "quick")


def count_workers(planned: Sequence[PlannedRun], jobs: int | None) -> int:
    """Runs at once: what was asked for, else one on a GPU and cores / threads on a CPU; never more than runs."""
    from gptexp.training.device import count_cores

    waiting = {item.run.run_id for item in planned if item.status != "done"}
    configs = [item.run.config for item in planned]
    on_cpu = all(config.device == "cpu" for config in configs)
    threads = max(config.threads for config in configs)
    fitting = max(1, count_cores() // threads) if on_cpu else 1
    return max(1, min(jobs or fitting, len(waiting)))


def carry_out(
    requests: Sequence[StudyRequest],
    runs_dir: Path,
    jobs: int | None,
    wandb_mode: str | None,
    *,
    scale_named: bool,
    dry_run: bool,
    with_report: bool,
) -> int:
    """Plan, run, compare, report. Returns the exit status."""
    from gptexp.cli.live import StudyView
    from gptexp.cli.plan_table import make_console, print_comparison, print_plan
    from gptexp.studies.launchers import LocalLauncher
    from gptexp.studies.plan import plan_runs
    from gptexp.studies.runner import run_plan
    from gptexp.tracking.wandb import choose_mode

    mode = choose_mode(wandb_mode)
    planned = plan_runs(requests, runs_dir)
    workers = count_workers(planned, jobs)
    print_plan(planned, workers, scale_named=scale_named)
    if dry_run:
        return 0
    launcher = LocalLauncher(workers)
    with StudyView(planned, make_console()) as view, stop_on_signals(launcher):
        results = run_plan(planned, launcher, view, command=describe_command(), wandb_mode=mode)
    print_comparison(planned, results)
    if with_report:
        write_page(runs_dir, [request.study.name for request in requests])
    outcomes = [result.outcome if result else "interrupted" for result in results.values()]
    if "interrupted" in outcomes:
        click.echo("Interrupted: the same command goes on where the runs stopped.", err=True)
        return 130
    return 1 if "failed" in outcomes else 0


def write_page(runs_dir: Path, studies: Sequence[str]) -> None:
    """Write the default report of these studies and say where it is; a report that fails doesn't fail the runs."""
    from gptexp.errors import GptexpError
    from gptexp.report import build_report

    try:
        page = build_report(None, runs_dir=runs_dir, out=Path("reports/out/study"), studies=studies)
    except GptexpError as error:
        click.echo(f"The runs are recorded, but the page could not be written: {error}", err=True)
        return
    click.echo(f"The page: {page}")


def describe_command() -> str:
    """The command line as it can be typed again."""
    import shlex
    import sys

    return shlex.join(["gptexp", *sys.argv[1:]])


@contextlib.contextmanager
def stop_on_signals(launcher: LocalLauncher) -> Iterator[None]:
    """Ctrl-C or SIGTERM asks all runs for a checkpoint and stops; a second one stops at once."""
    asked = False

    def on_signal(*_: object) -> None:
        nonlocal asked
        if asked:
            launcher.kill()
            raise KeyboardInterrupt
        asked = True
        click.echo("\nStopping: each run writes a checkpoint after its step. Once more stops at once.", err=True)
        launcher.stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
