"""What a run came to, from its progress: the content of its result.json."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import Timeout as LockTimeout

from gptexp.files import DiskError, disk_errors, lock_file, make_folder
from gptexp.studies.job import Job
from gptexp.studies.peak_memory import PEAK_MEMORY
from gptexp.tracking.lines import read_lines
from gptexp.tracking.provenance import now
from gptexp.tracking.result import STOPPED, Result
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import read_typed_records
from gptexp.training.divergence import Diverged
from gptexp.training.observer import Interrupted, Stopped
from gptexp.training.progress import Progress, fold


@dataclass
class Ending:
    """How a training ended."""

    outcome: str = "completed"
    detail: str = ""
    """A word on it."""


@contextlib.contextmanager
def tell_ending() -> Iterator[Ending]:
    """Train within this context: what ends a training early is no error, but its outcome.

    That is divergence, the step that was asked for, or somebody's wish to stop.
    """
    ending = Ending()
    try:
        yield ending
    except Diverged as error:
        ending.outcome, ending.detail = "diverged", str(error)
    except Stopped as error:
        ending.outcome, ending.detail = STOPPED, str(error)
    except Interrupted as error:
        ending.outcome, ending.detail = "interrupted", str(error)


def summarize(run_id: str, outcome: str, detail: str, progress: Progress, duration_s: float) -> Result:
    """The result of a run from its progress."""
    return Result(
        run_id=run_id,
        outcome=outcome,
        outcome_detail=detail,
        **progress.totals(),
        duration_s=duration_s,
        peak_memory_mib=PEAK_MEMORY.read_mib(),
        finished_at=now(),
    )


def report_failure(job: Job, reason: str) -> Result:
    """Leave `failed` and the reason as the run's result; its records stay, and another start retries it.

    A run that has a result that counts keeps it: its process may have died after it was done. So does one that another
    process works on meanwhile.

    Returns:
        What the run came to: that result, or the failure.
    """
    run_dir = RunDir(Path(job.run_dir))
    progress, worked_s = Progress(), 0.0
    with contextlib.suppress(DiskError, LockTimeout), hold_run(run_dir):
        with contextlib.suppress(ValueError):
            if (done := run_dir.read_done(job.until_step)) is not None:
                return done
        with contextlib.suppress(OSError, ValueError, TypeError):
            progress = fold(read_typed_records(run_dir.records))
        worked_s = earlier_seconds(run_dir)
        result = _summarize_failure(job, reason, progress, worked_s)
        run_dir.write_result(result)
        return result
    return _summarize_failure(job, reason, progress, worked_s)


def _summarize_failure(job: Job, reason: str, progress: Progress, worked_s: float) -> Result:
    # The memory of this process is not that of the run's own, which is gone.
    return replace(summarize(job.run_id, "failed", reason, progress, worked_s), peak_memory_mib=None)


@contextlib.contextmanager
def hold_run(run_dir: RunDir) -> Iterator[None]:
    """Work on a run alone.

    Raises:
        filelock.Timeout: another process works on it.
        DiskError: its folder can't be had.
    """
    with disk_errors(run_dir.path):
        make_folder(run_dir.path, run_dir.within)
    with lock_file(run_dir.path / "lock", run_dir.within).acquire(timeout=0):
        yield


def earlier_seconds(run_dir: RunDir) -> float:
    """Seconds that earlier processes worked on the run, as far as they lived to say so."""
    if (earlier := run_dir.read_sound_result()) is not None:
        return earlier.duration_s
    known = [row.get("earlier_s") for row in read_lines(run_dir.provenance, run_dir.within)]
    return max((float(seconds) for seconds in known if isinstance(seconds, int | float)), default=0.0)
