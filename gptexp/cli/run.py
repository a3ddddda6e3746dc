"""run and plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.cli.options import (
    Decorator,
    NumberRange,
    corpus_option,
    json_option,
    launcher_option,
    log_checkpoint_option,
    print_json,
    read_trackers,
    runs_dir_option,
    scale_option,
    tracker_option,
    until_step_option,
    wandb_option,
)
from gptexp.cli.until_decided import read_limits, run_until_decided, say_most, until_decided_options
from gptexp.studies.checks import MOST_SEEDS

if TYPE_CHECKING:
    from gptexp.studies.choice import LauncherChoice


def study_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `run` and `plan` share."""
    decorators: list[Decorator] = [
        click.argument("studies", nargs=-1, required=True, metavar="STUDY..."),
        scale_option,
        click.option(
            "--seeds", type=click.IntRange(1, MOST_SEEDS), default=None, help="Seeds per arm  [default: the study's]"
        ),
        click.option(
            "--arm", "arms", multiple=True, metavar="NAME", help="Train this arm alone; repeatable.  [default: all]"
        ),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a config field; repeatable."
        ),
        corpus_option,
        click.option(
            "--jobs", type=click.IntRange(min=1), default=None, help="Runs at once  [default: as the cores allow]"
        ),
        runs_dir_option,
        until_step_option,
        *until_decided_options,
        click.option(
            "--processes-per-run",
            "processes",
            type=click.IntRange(min=1),
            default=None,
            metavar="N",
            help="Processes, or GPUs, that share each batch of a run  [default: 1]",
        ),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@click.command("run")
@study_options
@launcher_option
@tracker_option
@wandb_option
@log_checkpoint_option
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@json_option
@click.option("--report/--no-report", "with_report", default=True, help="Write the page at the end.  [default: report]")
def run_command(
    studies: tuple[str, ...],
    scale: str | None,
    seeds: int | None,
    arms: tuple[str, ...],
    settings: tuple[str, ...],
    corpus: str | None,
    jobs: int | None,
    runs_dir: Path,
    until_step: int | None,
    until_decided: bool,
    detect: float | None,
    max_seeds: int | None,
    processes: int | None,
    launcher: LauncherChoice,
    trackers: tuple[str, ...],
    wandb_mode: str | None,
    log_checkpoint: bool,
    dry_run: bool,
    as_json: bool,
    with_report: bool,
) -> int:
    """Train the arms of named studies side by side.

    A run that is already done is not trained again; one that was interrupted goes on. With --until-step the runs keep
    the config of the whole training, their schedule too, and are left to be gone on with: by a later step, or without
    the option to their end.

    With --until-decided paired seeds are added, until each arm is told apart from the reference or shown to be closer
    to it than --detect. The intervals hold however often one looks. With --json it prints a line after each round.

    \b
    Examples:
      gptexp run lr-ablation
      gptexp run lr-ablation clipping --scale char --seeds 3
      gptexp run lr-ablation --scale lesson --until-step 600
      gptexp run lr-ablation --arm constant-6e-4 --arm warmup-cosine
      gptexp run lr-ablation --scale char --until-decided --detect 0.02
      gptexp run lr-ablation --tracker trackio
      gptexp run lr-ablation --set max_steps=100 --corpus my_text.txt --dry-run
      gptexp run lr-ablation --processes-per-run 2
      gptexp run lr-ablation --seeds 5 --launcher slurm --partition gpu --time-limit 120
      gptexp run lr-ablation --seeds 5 --launcher ray --address head:6379
    """
    from gptexp.cli.carry_out import run_planned
    from gptexp.studies.plan import plan_runs
    from gptexp.studies.request import make_requests

    requests = make_requests(studies, scale, seeds, read_settings(settings, processes), corpus, arms)
    requests = read_limits(requests, seeds, until_step, until_decided, detect, max_seeds)
    if until_decided:
        return run_until_decided(
            requests,
            runs_dir,
            jobs,
            first_seeds=seeds,
            trackers=read_trackers(trackers, wandb_mode, log_checkpoint),
            launcher=launcher,
            scale_named=scale is not None,
            dry_run=dry_run,
            with_report=with_report,
            as_json=as_json,
        )
    return run_planned(
        plan_runs(requests, runs_dir, until_step, jobs),
        runs_dir,
        jobs,
        trackers=read_trackers(trackers, wandb_mode, log_checkpoint),
        launcher=launcher,
        scale_named=scale is not None,
        dry_run=dry_run,
        with_report=with_report,
        as_json=as_json,
    )


@click.command("plan")
@study_options
@launcher_option
@click.option(
    "--price-per-hour",
    "price",
    type=NumberRange(min=0),
    default=None,
    metavar="X",
    help="What an hour of one GPU costs, or of one core where there is none.",
)
@json_option
def plan_command(
    studies: tuple[str, ...],
    scale: str | None,
    seeds: int | None,
    arms: tuple[str, ...],
    settings: tuple[str, ...],
    corpus: str | None,
    jobs: int | None,
    runs_dir: Path,
    until_step: int | None,
    until_decided: bool,
    detect: float | None,
    max_seeds: int | None,
    processes: int | None,
    launcher: LauncherChoice,
    price: float | None,
    as_json: bool,
) -> None:
    """Show what a run would do, without doing it.

    \b
    Examples:
      gptexp plan lr-ablation --scale laptop
      gptexp plan lr-ablation --scale lesson --until-step 600
      gptexp plan lr-ablation --seeds 5 --json
      gptexp plan lr-ablation --until-decided --detect 0.02
      gptexp plan lr-ablation --scale lesson --seeds 5 --launcher ray --price-per-hour 2.5
    """
    from gptexp.cli.plan_table import plan_rows, print_plan
    from gptexp.studies.plan import count_workers, plan_runs
    from gptexp.studies.request import make_requests

    requests = make_requests(studies, scale, seeds, read_settings(settings, processes), corpus, arms)
    requests = read_limits(requests, seeds, until_step, until_decided, detect, max_seeds)
    planned = plan_runs(requests, runs_dir, until_step, jobs)
    if as_json:
        print_json("gptexp.plan/1", plan_rows(planned, price))
    else:
        if until_decided:
            say_most(requests)
        print_plan(
            planned,
            count_workers(planned, jobs, launcher),
            scale_named=scale is not None,
            is_elsewhere=launcher.is_elsewhere,
            price=price,
        )


def read_settings(settings: Sequence[str], processes: int | None) -> dict[str, Any]:
    """The config fields of `--set`, with `--processes-per-run` among them.

    Raises:
        GptexpError: an unknown field, or a value that doesn't fit.
    """
    from gptexp.config import parse_assignment

    shared = [] if processes is None else [f"world_size={processes}"]
    return dict(parse_assignment(text) for text in [*settings, *shared])
