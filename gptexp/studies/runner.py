"""Carries out a plan: every run once, whoever asked for it, and a result for each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from gptexp.config import canonical_json
from gptexp.mirrors.protocol import BackgroundTracker, RunInfo
from gptexp.mirrors.replay import find_lacking
from gptexp.mirrors.wandb import Mode, WandbTracker
from gptexp.mirrors.wandb_server import advise_sync, inside_sweep
from gptexp.records import EvalRecord, Record, StepRecord
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.launchers import JobContext, JobEnd, JobEvent, Launcher
from gptexp.studies.plan import PlannedRun
from gptexp.studies.results import report_failure
from gptexp.tracking.housekeeping import clear_removed_runs, list_run_dirs
from gptexp.tracking.result import ENDED_AS_ASKED, Result
from gptexp.tracking.run_dir import RunDir

EVENTS_PER_SECOND = 4
WANDB_PATIENCE_S = 60.0
"""How long a finished run waits for its W&B mirror before it goes on without."""


@dataclass(frozen=True)
class StepEvent:
    """Where a run is now. Sent a few times a second, and at every evaluation."""

    step: int
    train_loss: float | None
    lr: float | None
    tokens_per_sec: float | None
    val_loss: float | None
    is_eval: bool


@dataclass(frozen=True)
class Warning:
    """Something about a run that its reader should know."""

    message: str


@dataclass(frozen=True)
class RunJob:
    """One run for a worker."""

    job: Job
    wandb_mode: Mode
    log_checkpoint: bool = False
    """Whether the last weights go to W&B too."""


class RunView(Protocol):
    """Shows a study while it runs."""

    def on_event(self, run_id: str, event: StepEvent | Warning) -> None: ...

    def on_end(self, run_id: str, result: Result | None, error: str | None) -> None: ...

    def on_mirrored(self, run_id: str, error: str | None) -> None:
        """A run that was done before is mirrored from its record, or not, for that reason."""


class EventTracker:
    """Sends a worker's progress to the process that shows it."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._last_sent = 0.0
        self._val_loss: float | None = None
        self._step: StepRecord | None = None

    def start(self, info: RunInfo) -> None:
        self._send(info.from_step, is_eval=False)

    def log(self, record: Record) -> None:
        match record:
            case StepRecord():
                self._step = record
                if time.monotonic() - self._last_sent > 1 / EVENTS_PER_SECOND:
                    self._send(record.step, is_eval=False)
            case EvalRecord():
                self._val_loss = record.val_loss
                # The one over the whole split comes with the result.
                if not record.whole:
                    self._send(record.step, is_eval=True)

    def finish(self, result: Result) -> None: ...

    def _send(self, step: int, *, is_eval: bool) -> None:
        last = self._step
        self._last_sent = time.monotonic()
        self._context.emit(
            StepEvent(
                step,
                last.train_loss if last else None,
                last.lr if last else None,
                last.tokens_per_sec if last else None,
                self._val_loss,
                is_eval,
            )
        )


def execute_job(job: RunJob, context: JobContext) -> Result:
    """What a worker does: one run, mirrored to W&B and to whoever watches."""

    def warn(message: str) -> None:
        context.emit(Warning(message))

    if job.wandb_mode == "disabled":
        return execute(job.job, [EventTracker(context)], context.should_stop, warn)
    mirror = WandbTracker(
        job.wandb_mode,
        patience_s=WANDB_PATIENCE_S,
        warn=warn,
        log_checkpoint=job.log_checkpoint,
        # What is told again goes on where it is; a trial has a W&B run of its own.
        place=RunDir(Path(job.job.run_dir)).read_mirror() if job.job.replay and not inside_sweep() else None,
    )
    background = BackgroundTracker(mirror, patience_s=mirror.choose_patience, late=advise_sync(job.job.run_dir))

    def should_stop() -> bool:
        return context.should_stop() or mirror.asked_to_stop()

    return execute(job.job, [EventTracker(context), background], should_stop, warn)


def enter_members(planned: Sequence[PlannedRun]) -> frozenset[str]:
    """Note in every run folder which study asked for it; returns the ids of the runs for which that was new.

    Where a study's newest rows are of another definition (its file was edited, and is now edited back), all its rows
    are written again: the newest definition is the one that counts.
    """
    if not planned:
        return frozenset()
    rows = [row for run_dir in list_run_dirs(planned[0].run_dir.path.parent) for row in run_dir.read_members()]
    newest = {
        (row.get("study"), row.get("scale"), canonical_json(row.get("variant"))): row.get("definition")
        for row in sorted(rows, key=lambda row: str(row.get("asked_at")))
    }
    noted = set()
    for item in planned:
        row = item.member()
        definition = newest.get((row["study"], row["scale"], canonical_json(row["variant"])))
        if item.run_dir.append_member(row, again=definition not in (None, row["definition"])):
            noted.add(item.run.run_id)
    return frozenset(noted)


def find_replayed(planned: Sequence[PlannedRun], noted: Collection[str], mode: Mode) -> frozenset[str]:
    """The ids of runs that are done and that a mirror is to be told of from their records.

    A trial of a sweep is a W&B run of its own: it wants the history even where nothing is left to train. A run that
    another study asks for has that in its mirror too, or a report from W&B would miss it there. And what was made
    without a mirror gets one when it is asked for with one.

    Args:
        noted: the runs that a study asks for anew.
    """
    done = {item.run.run_id: item.run_dir for item in planned if item.is_over}
    if mode == "disabled" or inside_sweep():
        return frozenset() if mode == "disabled" else frozenset(done)
    ended = {run_id: (run_dir, result) for run_id, run_dir in done.items() if (result := run_dir.read_result())}
    return frozenset(done.keys() & noted) | find_lacking(ended, mode)


def replay_job(item: PlannedRun, command: str) -> Job:
    """A run that is done, as `execute` takes it to tell the mirrors of it."""
    return replace(item.job(command), member=item.run_dir.read_members()[0], replay=True)


def _show_replay(view: RunView, run_id: str, news: JobEvent | JobEnd) -> None:
    """Show what a mirror says of a run that was done before; how far it is was shown then."""
    if isinstance(news, JobEnd):
        view.on_mirrored(run_id, news.error)
    elif isinstance(news.event, Warning):
        view.on_event(run_id, news.event)


def run_plan(
    planned: Sequence[PlannedRun],
    launcher: Launcher,
    view: RunView,
    *,
    command: str,
    wandb_mode: Mode,
    log_checkpoint: bool = False,
) -> dict[str, Result | None]:
    """Carry out every run of the plan that isn't over, and mirror those that are where the mirror lacks something.

    Returns:
        The result of every run id; None for a run that was stopped before it began.
    """
    if planned:
        with contextlib.suppress(OSError):
            clear_removed_runs(planned[0].run_dir.within)
    noted = enter_members(planned)
    results: dict[str, Result | None] = {
        item.run.run_id: item.run_dir.read_result() for item in planned if item.is_over
    }
    done = frozenset(results)
    replayed = find_replayed(planned, noted, wandb_mode)
    jobs: dict[str, RunJob] = {}
    for item in planned:
        if item.run.run_id not in done - replayed and item.run.run_id not in jobs:
            job = replay_job(item, command) if item.run.run_id in replayed else item.job(command)
            jobs[item.run.run_id] = RunJob(job, wandb_mode, log_checkpoint)
            results.setdefault(item.run.run_id, None)
    for news in launcher.launch(execute_job, list(jobs.values())):
        run_id = news.job.job.run_id
        match news:
            case _ if run_id in done:
                _show_replay(view, run_id, news)
            case JobEvent(event=event):
                view.on_event(run_id, event)
            case JobEnd(error=None, result=result):
                results[run_id] = result
                view.on_end(run_id, result, None)
            case JobEnd(error=str(error)):
                result = results[run_id] = report_failure(news.job.job, error)
                is_done = result.outcome in ENDED_AS_ASKED
                if is_done:
                    view.on_event(run_id, Warning(f"its process failed when the run was done: {error}"))
                view.on_end(run_id, result, None if is_done else error)
    return results
