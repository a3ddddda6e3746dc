"""sweep: the file that `wandb sweep` takes, searched without an account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.cli.options import (
    UserPath,
    corpus_option,
    json_option,
    launcher_option,
    print_json,
    read_trackers,
    runs_dir_option,
    scale_option,
    tracker_option,
    wandb_option,
)
from gptexp.errors import GptexpError, InterruptedCommand
from gptexp.studies.checks import MOST_SEEDS
from gptexp.studies.launchers import JobEnd, JobEvent, Launcher, Needs

if TYPE_CHECKING:
    from gptexp.cli.sweep_view import SweepView
    from gptexp.mirrors.protocol import TrackerSettings
    from gptexp.studies.choice import LauncherChoice
    from gptexp.studies.plan import PlannedRun
    from gptexp.studies.sweep.journal import SweepJournal
    from gptexp.studies.sweep.trial import Sweep
    from gptexp.studies.sweep.worker import Slot

AT_ONCE_ELSEWHERE = 8
"""Trials at once on other machines, where nobody said how many: each has a process here that keeps the journal."""
MOST_DEATHS = 3
"""Workers that may die before the sweep stops."""
SHOWN_POINTS = 200
"""Points of a grid whose runs are looked up for the plan."""


@click.command("sweep")
@click.argument("file", type=UserPath(), metavar="FILE")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=None,
    help="Trials in all, also those of other processes and earlier calls  [default: run_cap, else the whole grid]",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, MOST_SEEDS),
    default=1,
    help="Paired seeds of each point: so many trials a point, and a ranking with intervals  [default: 1]",
)
@click.option("--jobs", type=click.IntRange(min=1), default=None, help="Trials at once  [default: as the cores allow]")
@scale_option
@corpus_option
@runs_dir_option
@launcher_option
@tracker_option
@wandb_option
@click.option(
    "--out",
    type=UserPath(file_okay=False),
    default=None,
    help="Folder for the figure and the tables  [default: reports/out/sweep-NAME]",
)
@json_option
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
def sweep_command(
    file: Path,
    trials: int | None,
    seeds: int,
    jobs: int | None,
    scale: str | None,
    corpus: str | None,
    runs_dir: Path,
    launcher: LauncherChoice,
    trackers: tuple[str, ...],
    wandb_mode: str | None,
    out: Path | None,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Search a sweep file (grid, random, bayes) with Optuna, no account needed.

    Every trial is an ordinary run; one that is done is answered from its record. Start the command several times, on
    one machine or on several that share the folder of runs, and they work on one sweep; stop it and it goes on.

    \b
    Examples:
      gptexp sweep sweep.yaml --trials 12
      gptexp sweep sweep.yaml --trials 40 --scale char --jobs 2
      gptexp sweep sweep.yaml --seeds 3
      gptexp sweep sweep.yaml --dry-run
    """
    from gptexp.cli.carry_out import GOES_ON
    from gptexp.cli.sweep_view import SweepView
    from gptexp.cli.train import read_train_words
    from gptexp.streams import announce
    from gptexp.studies.plan import find_needs, plan_runs
    from gptexp.studies.request import choose_scale
    from gptexp.studies.sweep.file import read_sweep_file
    from gptexp.studies.sweep.trial import plan_sweep

    content = read_sweep_file(file, read_train_words)
    named = scale or content.scale
    sweep = plan_sweep(content, scale, corpus, runs_dir, trials, choose_scale(named).name, seeds)
    if not dry_run and not as_json:
        announce(GOES_ON)
    chosen = read_trackers(trackers, wandb_mode)
    planned = plan_runs([sweep.request(settings) for settings in list_first(sweep)], runs_dir)
    workers = count_workers(sweep, planned[0], jobs, launcher)
    view = SweepView(sweep)
    view.print_plan(planned, workers, scale_named=named is not None)
    if dry_run:
        view.print_points(planned)
        if as_json:
            print_json("gptexp.sweep-plan/1", view.describe_plan(planned, workers))
        return 0
    workforce = Workforce(launcher, workers, chosen, find_needs(planned[0].run))
    return run_sweep(sweep, view, workforce, out or Path("reports/out") / f"sweep-{sweep.file.name}", as_json)


@dataclass(frozen=True)
class Workforce:
    """What carries out trials, how many at once, and who is told of them."""

    launcher: LauncherChoice
    workers: int
    trackers: tuple[TrackerSettings, ...]
    needs: Needs


def list_first(sweep: Sweep) -> list[dict[str, Any]]:
    """The settings of a grid's first trials; of another search an example."""
    points = sweep.points()
    if points is None or sweep.file.method != "grid":
        return [sweep.example()]
    return [sweep.to_settings(drawn) for drawn in points[: min(sweep.n_trials, SHOWN_POINTS)]]


def count_workers(sweep: Sweep, first: PlannedRun, jobs: int | None, launcher: LauncherChoice) -> int:
    """Trials at once: what was asked for, else as many as fit; never more than trials."""
    from gptexp.studies.plan import count_fitting

    fitting = AT_ONCE_ELSEWHERE if launcher.is_elsewhere else count_fitting([first], launcher.gpus_per_run)
    return max(1, min(jobs or fitting, sweep.n_trials))


def run_sweep(sweep: Sweep, view: SweepView, workforce: Workforce, out: Path, as_json: bool) -> int:
    """Search, rank, draw. Returns the exit status.

    Raises:
        InterruptedCommand: somebody stopped it before its last trial.
    """
    from gptexp.report.sweep import write_sweep_files
    from gptexp.studies.sweep.journal import SweepJournal, hold_session
    from gptexp.studies.sweep.ranking import measure_importance, rank_trials

    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        rows = journal.rows()
        view.print_damage(journal.damage)
        view.print_state(rows)
        was_stopped = search(journal, view, workforce)
        rows = rank_trials(journal.rows(), sweep.file.metric.goal)
        importance = measure_importance(journal)
    if was_stopped:
        raise InterruptedCommand(f"interrupted with {describe_count(rows, sweep)}; the same command goes on")
    figure = write_sweep_files(out, sweep, rows, importance)
    if as_json:
        print_json("gptexp.sweep/1", view.make_summary(rows, importance, figure, journal.damage))
    else:
        view.print_ranking(rows, importance, out, figure)
    return 1 if any(row.state == "failed" for row in rows) else 0


def describe_count(rows: Any, sweep: Sweep) -> str:
    """`5 of 12 trials done`."""
    done = sum(row.state in ("completed", "diverged", "pruned") for row in rows)
    return f"{done} of {sweep.n_trials} trials done"


def search(journal: SweepJournal, view: SweepView, workforce: Workforce) -> bool:
    """Keep the workers on the sweep until there is no trial left.

    Returns:
        Whether somebody asked to stop.

    Raises:
        GptexpError: the workers can't work.
    """
    from gptexp.cli.carry_out import describe_command, stop_on_signals
    from gptexp.studies.launchers import LocalLauncher, Needs
    from gptexp.studies.sweep.worker import Slot

    deaths = 0
    with workforce.launcher.on_one_cluster() as chosen:
        runs_by = None if chosen.shares_disk else chosen
        needs = workforce.needs if runs_by is None else Needs()
        shared = (journal.sweep, journal.session, workforce.trackers, describe_command(), needs)
        slots = [Slot(number, *shared, runs_by=runs_by) for number in range(workforce.workers)]
        while slots and deaths < MOST_DEATHS:
            launcher = chosen(len(slots)) if runs_by is None else LocalLauncher(len(slots))
            with stop_on_signals(launcher) as asked:
                # A worker that died with its trial gives its slot to another one.
                slots = watch_workers(launcher, slots, journal, view, asked.is_set)
            if asked.is_set():
                return True
            deaths += len(slots)
    return False


def watch_workers(
    launcher: Launcher, slots: Sequence[Slot], journal: SweepJournal, view: SweepView, was_stopped: Callable[[], bool]
) -> list[Slot]:
    """Show what the workers do until all have ended; the trial of one that died has failed.

    Returns:
        The slots whose workers died in the middle of a trial.

    Raises:
        GptexpError: a worker could not even begin a trial.
    """
    from gptexp.studies.sweep.worker import TrialEnd, TrialStart, work_on_sweep

    at_work: dict[int, int] = {}
    dead = []
    for news in launcher.launch(work_on_sweep, slots):
        slot = news.job
        match news:
            case JobEvent(event=event):
                view.on_event(event)
                if isinstance(event, TrialStart):
                    at_work[slot.number] = event.claim.place
                elif isinstance(event, TrialEnd):
                    at_work.pop(slot.number, None)
            case JobEnd(error=str(error)) if slot.number in at_work and not was_stopped():
                journal.fail_running(at_work[slot.number], error)
                view.say(f"trial {at_work.pop(slot.number)} failed: {error}")
                dead.append(slot)
            case JobEnd(error=str(error)) if not was_stopped():
                raise GptexpError(f"the sweep stops: {error}")
    return dead
