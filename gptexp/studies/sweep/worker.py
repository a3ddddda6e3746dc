"""A worker process of a sweep: it claims a trial, trains its run, records how it ended, and repeats."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gptexp.errors import GptexpError
from gptexp.mirrors.protocol import TrackerSettings
from gptexp.studies.choice import LauncherChoice, carry_out_one
from gptexp.studies.events import Notice, StepEvent
from gptexp.studies.launchers import JobContext, Needs
from gptexp.studies.plan import PlannedRun, plan_runs
from gptexp.studies.results import report_failure
from gptexp.studies.runner import execute_job, make_jobs
from gptexp.studies.sweep.journal import Claim, SweepJournal
from gptexp.studies.sweep.trial import Sweep
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import read_records

FAILURES_IN_A_ROW = 3
"""A worker stops after this many failures in a row, so that a cause like a full disk doesn't fail all trials."""


@dataclass(frozen=True)
class Slot:
    """The job of one worker: trials of a sweep until none are left."""

    number: int
    sweep: Sweep
    session: str
    trackers: tuple[TrackerSettings, ...]
    command: str
    needs: Needs = field(default_factory=Needs)
    runs_by: LauncherChoice | None = None
    """What carries out the runs on other disks, while this worker keeps the sweep's journal at home; None: itself."""

    @property
    def name(self) -> str:
        """What no other worker of any command has."""
        return f"{self.session}-{self.number}"

    @property
    def home(self) -> Path:
        """The folder of all runs."""
        return Path(self.sweep.runs_dir)


@dataclass(frozen=True)
class TrialStart:
    """Event: a worker has taken a trial."""

    claim: Claim


@dataclass(frozen=True)
class TrialNews:
    """Event: a trial's run made progress or gave a warning."""

    claim: Claim
    event: StepEvent | Notice


@dataclass(frozen=True)
class TrialEnd:
    """Event: a trial ended. The state `stopped` means that it can be resumed."""

    claim: Claim
    state: str
    value: float | None
    about: dict[str, Any]


def work_on_sweep(slot: Slot, context: JobContext) -> int:
    """Work on trials until none are left, or until the context says stop.

    Returns:
        Number of failed trials.

    Raises:
        DiskError: the sweep's folder can't be written.
    """
    journal = SweepJournal(slot.sweep, slot.session)
    failed = in_a_row = 0
    while not context.should_stop() and in_a_row < FAILURES_IN_A_ROW:
        claim = journal.claim()
        if claim is None:
            break
        context.emit(TrialStart(claim))
        end = run_trial(slot, journal, claim, context)
        if end.state != "stopped":
            journal.finish(claim, end.state, end.value, end.about)
        context.emit(end)
        failed += end.state == "failed"
        in_a_row = in_a_row + 1 if end.state == "failed" else 0
    return failed


def run_trial(slot: Slot, journal: SweepJournal, claim: Claim, context: JobContext) -> TrialEnd:
    """The run of one trial, trained or answered from its record."""
    sweep = slot.sweep
    try:
        (item,) = plan_runs([sweep.request(claim.settings)], Path(sweep.runs_dir))
        jobs = make_jobs([item], slot.trackers, slot.command)
    except GptexpError as error:
        return TrialEnd(claim, "failed", None, {"detail": str(error)})
    # A run that is over and lacks no mirror has no job.
    done = None if jobs else item.run_dir.read_result()
    job = jobs.get(item.run.run_id) or item.job(slot.command, slot.trackers)
    pruned = False

    def emit(event: Any) -> None:
        nonlocal pruned
        context.emit(TrialNews(claim, event))
        is_due = isinstance(event, StepEvent) and event.is_eval and event.step < item.run.config.max_steps
        if is_due and sweep.file.early_stop:
            # Once it is to be stopped, no later evaluation takes that back.
            pruned = journal.should_prune(claim, read_evaluations(item.run_dir, sweep.file.metric.name)) or pruned

    try:
        inner = JobContext(emit, lambda: pruned or context.should_stop())
        carry_out = execute_job if slot.runs_by is None else partial(carry_out_one, slot.runs_by, execute_job)
        result = done or carry_out(job, inner)
    except GptexpError as error:
        result = report_failure(job, str(error))
    if sweep.file.early_stop:
        # Record all evaluations, because later trials are compared with them.
        journal.should_prune(claim, read_evaluations(item.run_dir, sweep.file.metric.name))
    return judge(sweep, claim, item, result, pruned=pruned)


def judge(sweep: Sweep, claim: Claim, item: PlannedRun, result: Result, *, pruned: bool) -> TrialEnd:
    """How a trial ended, given the result of its run."""
    about = {
        "run_id": result.run_id,
        "detail": result.outcome_detail,
        "last_step": result.last_step,
        "duration_s": result.duration_s,
    }
    if result.outcome == "completed":
        value = read_metric_value(sweep.file.metric.name, result, item.run_dir)
        if value is not None and math.isfinite(value):
            return TrialEnd(claim, "completed", value, about)
        return TrialEnd(claim, "failed", None, {**about, "detail": f"its run has no {sweep.file.metric.name}"})
    if result.outcome == "diverged":
        about["detail"] = f"diverged at step {result.diverged_step}: {result.diverged_where}"
        return TrialEnd(claim, "diverged", sweep.file.metric.worst, about)
    if result.outcome == "failed":
        return TrialEnd(claim, "failed", None, about)
    if not pruned:
        return TrialEnd(claim, "stopped", None, about)
    evaluations = read_evaluations(item.run_dir, sweep.file.metric.name)
    return TrialEnd(claim, "pruned", evaluations[-1], {**about, "detail": f"pruned after step {result.last_step}"})


def read_evaluations(run_dir: RunDir, metric: str) -> list[float]:
    """The metric at every evaluation on the fixed subset so far, starting with the one before the first step."""
    records = read_records(run_dir.records)
    return [record[metric] for record in records if record["kind"] == "eval" and not record["whole"]]


def read_metric_value(metric: str, result: Result, run_dir: RunDir) -> float | None:
    """A metric of a finished run, as W&B's summary has it (`gptexp.studies.sweep.goal` says what each is)."""
    fields = dataclasses.asdict(result)
    if metric in fields:
        return fields[metric]  # type: ignore[no-any-return]
    if metric == "train_loss":
        losses = [record["train_loss"] for record in read_records(run_dir.records) if record["kind"] == "step"]
        return losses[-1] if losses else None
    evaluations = read_evaluations(run_dir, metric)
    return evaluations[-1] if evaluations else None
