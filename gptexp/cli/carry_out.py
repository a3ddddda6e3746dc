"""What `run` and `train` do: plan, runs, comparison, page, exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gptexp.cli.options import TO_GO_ON
from gptexp.cli.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

    from gptexp.cli.live import StudyView
    from gptexp.mirrors.protocol import TrackerSettings
    from gptexp.processes import Processes
    from gptexp.runs.frames import Frames
    from gptexp.runs.study_runs import StudyRuns
    from gptexp.studies.launchers import Launcher
    from gptexp.studies.plan import PlannedRun
    from gptexp.tracking.result import Result

GOES_ON = "the runs go on to the end, and are recorded"
"""Said when whoever watched has left."""
STOP_WORDS = "\nStopping: each run writes a checkpoint after its step. Once more stops at once."
ORPHAN_POLL_S = 0.5
"""Between two looks whether the sweep's agent is still there."""


def run_planned(
    planned: Sequence[PlannedRun],
    runs_dir: Path,
    jobs: int | None,
    *,
    trackers: Sequence[TrackerSettings],
    launcher: Callable[[int], Launcher],
    scale_named: bool,
    dry_run: bool,
    with_report: bool,
    with_summary: bool = True,
    as_json: bool,
    to_go_on: str = TO_GO_ON,
) -> int:
    """Show a plan, carry it out, compare, report. Returns the exit status.

    Args:
        trackers: who is told of the runs.
        launcher: makes what carries them out, so many at once.
        with_summary: what each study can't show, and its paired differences, as the records have them.
        as_json: called with --json, so the plan or the result is to be printed as JSON.
        to_go_on: how the same command goes on with runs that were stopped where it was asked to.
    """
    from gptexp.cli.console import WIDE, make_console
    from gptexp.cli.options import print_json
    from gptexp.cli.plan_table import plan_rows, print_plan
    from gptexp.cli.summary_view import describe_training
    from gptexp.streams import announce
    from gptexp.studies.plan import count_workers
    from gptexp.studies.runner import run_plan
    from gptexp.tracking.result import STOPPED

    if not dry_run and not as_json:
        announce(GOES_ON)
    workers = count_workers(planned, jobs, launcher)
    is_elsewhere = getattr(launcher, "is_elsewhere", False)
    print_plan(planned, workers, scale_named=scale_named, is_elsewhere=is_elsewhere, to_go_on=to_go_on)
    if dry_run:
        if as_json:
            print_json("gptexp.plan/1", plan_rows(planned))
        return 0
    workforce = launcher(workers)
    with watch_over(planned, workforce, make_console(piped_width=WIDE)) as view:
        results = run_plan(planned, workforce, view, command=describe_command(), trackers=trackers)
    summary = sum_up(planned, results, runs_dir, with_summary=with_summary, with_report=with_report)
    asked = [results.get(item.run.run_id) for item in planned if not item.is_parent]
    outcomes = [result.outcome if result else "interrupted" for result in asked]
    status = 130 if "interrupted" in outcomes else 1 if "failed" in outcomes else 0
    if as_json:
        print_json("gptexp.training/1", describe_training(planned, results, summary, status))
    if status == 130:
        say("Interrupted: the same command goes on where the runs stopped.", err=True)
    elif STOPPED in outcomes:
        say(f"Stopped where it was asked to: the same command {to_go_on} goes on.")
    return status


@contextlib.contextmanager
def watch_over(planned: Sequence[PlannedRun], workforce: Launcher, console: Console) -> Iterator[StudyView]:
    """Carry out a plan within this context: a live view, which this yields, and whoever asks it to stop is heard."""
    from gptexp.cli.live import StudyView

    with StudyView(planned, console) as view, stop_on_signals(workforce), stop_with_agent():
        yield view


@dataclass(frozen=True)
class Summary:
    """What runs came to, from their records."""

    studies: list[StudyRuns]
    """Empty where nobody asked to have them summed up."""
    page: Path | None
    """None where none was written."""


def sum_up(
    planned: Sequence[PlannedRun],
    results: Mapping[str, Result | None],
    runs_dir: Path,
    *,
    with_summary: bool,
    with_report: bool,
) -> Summary:
    """Say what the runs came to, and write the page; both from records that are read once."""
    from gptexp.cli.comparison_table import print_comparison

    if not with_summary and not with_report:
        print_comparison(planned, results)
        return Summary([], None)
    from gptexp.processes import ALONE
    from gptexp.report.workers import start_processes

    with start_processes(runs_dir) if with_report else contextlib.nullcontext(ALONE) as processes:
        from gptexp.cli.summary_view import print_differences, print_limits, select_planned
        from gptexp.runs.frames import load_frames

        # The page shows the runs of earlier commands too.
        frames = load_frames(runs_dir, None if with_report else {item.run.run_id for item in planned}, processes)
        studies = select_planned(frames, planned) if with_summary else []
        print_limits(studies)
        print_comparison(planned, results)
        print_differences(studies)
        names = list(dict.fromkeys(item.request.study.name for item in planned))
        return Summary(studies, write_page(runs_dir, names, frames, processes) if with_report else None)


def write_page(runs_dir: Path, studies: Sequence[str], frames: Frames, processes: Processes) -> Path | None:
    """Write the default report of these studies and say where it is; a report that fails doesn't fail the runs."""
    from gptexp.errors import GptexpError
    from gptexp.report.build import build_report

    try:
        out = Path("reports/out/study")
        report = build_report(None, runs_dir=runs_dir, out=out, studies=studies, frames=frames, processes=processes)
    except GptexpError as error:
        say(f"The runs are recorded, but the page could not be written: {error}", err=True)
        return None
    say(f"The page: {report.page}")
    return report.page


def describe_command() -> str:
    """The command line as it can be typed again."""
    import sys

    from gptexp.text import quote_words

    return quote_words(["gptexp", *sys.argv[1:]])


@contextlib.contextmanager
def stop_on_signals(launcher: Launcher) -> Iterator[threading.Event]:
    """Ctrl-C or SIGTERM asks all runs for a checkpoint and stops; a second one stops at once.

    Yields:
        Whether somebody has asked to stop.
    """
    asked = threading.Event()

    def on_signal(*_: object) -> None:
        if asked.is_set():
            launcher.kill()
            raise KeyboardInterrupt
        asked.set()
        say(getattr(launcher, "stop_words", STOP_WORDS), err=True)
        launcher.stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stop_with_agent() -> Iterator[None]:
    """In a W&B sweep: an agent that dies stops its trial, as if it had said so.

    An agent that is killed can't tell its trial, and the service gives the trial to another one.
    """
    from gptexp.mirrors.wandb_server import inside_sweep

    agent, over = os.getppid(), threading.Event()

    def watch() -> None:
        while not over.wait(ORPHAN_POLL_S):
            if os.getppid() != agent:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=watch, name="agent watch", daemon=True)
    if inside_sweep():
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()
