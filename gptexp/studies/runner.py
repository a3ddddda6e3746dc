"""Carries out a plan: every run once, whoever asked for it, and a result for each."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from gptexp.identity import canonical_json
from gptexp.mirrors.protocol import TrackerSettings, build_trackers
from gptexp.studies.events import EventTracker, Notice, RunView
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.launchers import JobContext, JobEnd, JobEvent, Launcher
from gptexp.studies.plan import PlannedRun
from gptexp.studies.results import report_failure
from gptexp.tracking.housekeeping import clear_removed_runs, list_run_dirs
from gptexp.tracking.result import ENDED_AS_ASKED, Result


def execute_job(job: Job, context: JobContext) -> Result:
    """What a worker does: one run, told to its trackers and to whoever watches."""

    def warn(message: str) -> None:
        context.emit(Notice(message))

    trackers = build_trackers(job.trackers, job.run_dir, warn)

    def should_stop() -> bool:
        return context.should_stop() or any(tracker.asked_to_stop() for tracker in trackers)

    return execute(job, [EventTracker(context), *trackers], should_stop, warn)


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


def make_jobs(planned: Sequence[PlannedRun], trackers: Sequence[TrackerSettings], command: str) -> dict[str, Job]:
    """Run id -> job of every run that isn't over, and of those that are over of which a tracker is to be told.

    Args:
        command: what was typed, for the provenance.
    """
    noted = enter_members(planned)
    over = {item.run.run_id: item.run_dir for item in planned if item.is_over}
    lacking = [(tracker, tracker.find_lacking(over, noted & over.keys())) for tracker in trackers if over]
    replay = any(tracker.wants_every_run for tracker in trackers)
    jobs: dict[str, Job] = {}
    for item in planned:
        run_id = item.run.run_id
        if run_id in jobs:
            continue
        if not item.is_over:
            jobs[run_id] = item.job(command, trackers, replay=replay)
        elif told := [tracker for tracker, run_ids in lacking if run_id in run_ids]:
            jobs[run_id] = item.job(command, told, replay=True)
    return jobs


def _show_replay(view: RunView, run_id: str, news: JobEvent | JobEnd) -> None:
    """Show what a mirror says of a run that was done before; how far it is was shown then."""
    if isinstance(news, JobEnd):
        view.on_mirrored(run_id, news.error)
    elif isinstance(news.event, Notice):
        view.on_event(run_id, news.event)


def run_plan(
    planned: Sequence[PlannedRun],
    launcher: Launcher,
    view: RunView,
    *,
    command: str,
    trackers: Sequence[TrackerSettings] = (),
) -> dict[str, Result | None]:
    """Carry out every run of the plan that isn't over, and tell the trackers of those that are where they lack some.

    Returns:
        The result of every run id; None for a run that was stopped before it began.
    """
    if planned:
        with contextlib.suppress(OSError):
            clear_removed_runs(planned[0].run_dir.within)
    jobs = make_jobs(planned, trackers, command)
    results: dict[str, Result | None] = {
        item.run.run_id: item.run_dir.read_result() for item in planned if item.is_over
    }
    done = frozenset(results)
    results |= dict.fromkeys(jobs.keys() - done)
    for news in launcher.launch(execute_job, list(jobs.values())):
        run_id = news.job.run_id
        match news:
            case _ if run_id in done:
                _show_replay(view, run_id, news)
            case JobEvent(event=event):
                view.on_event(run_id, event)
            case JobEnd(error=None, result=result):
                results[run_id] = result
                view.on_end(run_id, result, None)
            case JobEnd(error=str(error)):
                result = results[run_id] = report_failure(news.job, error)
                is_done = result.outcome in ENDED_AS_ASKED
                if is_done:
                    view.on_event(run_id, Notice(f"its process failed when the run was done: {error}"))
                view.on_end(run_id, result, None if is_done else error)
    return results
