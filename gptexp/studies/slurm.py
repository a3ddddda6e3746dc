"""`--launcher slurm`: a job array on a cluster whose nodes share the disk, through submitit.

Each job of ours is a job of Slurm's. What a job says on its way, and that it is to stop, are files in the folder
`.slurm` beside the runs: whoever starts the same command later finds the job there and looks on.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptexp.errors import GptexpError, read_first_line
from gptexp.files import make_folder
from gptexp.processes import is_alive
from gptexp.studies.launchers import JobEnd, JobEvent, JobFunction, Notice, needs_of
from gptexp.studies.slurm_job import Errand, JobFiles

FOLDER = ".slurm"
"""Beside the runs: submitit's files, and ours."""
POLL_S = 0.5
"""Between two looks at the jobs' files."""
SIGNAL_DELAY_S = 90
"""Seconds before a time limit at which Slurm says so."""
TIME_OUTS = 1000
"""How often a job is queued again after its time limit. A run that goes on from a checkpoint comes to an end."""
DEFAULT_MINUTES = 60


@dataclass
class _Submitted:
    job: Any
    files: JobFiles
    handle: Any
    """submitit's job."""
    heard: int | None = 0
    """Bytes of its events that were read; None for one that was found at work."""
    deaths: int = field(default=0)
    is_found: bool = False
    """Whether an earlier command submitted it, which may have asked for less."""


class SlurmLauncher:
    """Jobs of Slurm, as an array. Leaving doesn't end them: the same command finds them again."""

    shares_disk = True
    is_elsewhere = True
    stop_words = (
        "\nLeaving: the jobs stay with Slurm, and the same command looks at them again. Once more stops them: each run "
        "writes a checkpoint after its step."
    )

    def __init__(
        self,
        n_workers: int,
        *,
        partition: str | None = None,
        time_limit: int = DEFAULT_MINUTES,
        gpus_per_run: float | None = None,
        executor: str = "slurm",
    ) -> None:
        """Args:
        partition: where to submit; None takes Slurm's default.
        time_limit: minutes after which a job is stopped and queued again.
        gpus_per_run: of each run; None takes what the runs need.
        executor: submitit's: slurm, or local or debug, which need no Slurm.

        Raises:
            GptexpError: submitit or Slurm isn't there.
        """
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise GptexpError('--launcher slurm needs submitit; pip install "gptexp[slurm]"') from None
        if executor == "slurm" and shutil.which("sbatch") is None:
            raise GptexpError(
                "--launcher slurm needs Slurm's sbatch, which isn't on this machine; start the command where it is, or "
                "try it here with --executor local"
            )
        self._n_workers, self._gpus_per_run, self._kind = n_workers, gpus_per_run, executor
        self._asked = {"slurm_partition": partition} if partition and executor == "slurm" else {}
        self._minutes = time_limit
        self._submitted: list[_Submitted] = []
        self._leaving = False

    def launch(self, function: JobFunction, jobs: Sequence[Any]) -> Iterator[JobEvent | JobEnd]:
        """Yields each job's events and its end. A job that died is submitted again as often as it allows."""
        if not jobs:
            return
        folder = Path(jobs[0].home).absolute() / FOLDER
        make_folder(folder, folder.parent)
        executor = self._make_executor(folder, jobs)
        self._submitted = [found for job in jobs if (found := self._find(folder, job)) is not None]
        there = {item.files.name for item in self._submitted}
        self._submit(executor, function, [job for job in jobs if job.name not in there], folder)
        while self._submitted and not self._leaving:
            for item in list(self._submitted):
                # An end that is seen now has all its events before it.
                is_over = self._is_over(item)
                events, item.heard = item.files.hear(item.heard)
                yield from (JobEvent(item.job, event) for event in events)
                if is_over:
                    yield from self._end(item, executor, function)
            time.sleep(POLL_S)

    def stop(self) -> None:
        self._leaving = True

    def kill(self) -> None:
        """Ask the jobs for a checkpoint and their end; those that wait in the queue are taken out of it."""
        for item in self._submitted:
            item.files.ask_to_stop()
            if self._kind == "slurm" and item.handle.state == "PENDING":
                item.handle.cancel(check=False)

    def _make_executor(self, folder: Path, jobs: Sequence[Any]) -> Any:
        import submitit

        executor = submitit.AutoExecutor(folder=folder, cluster=self._kind, slurm_max_num_timeout=TIME_OUTS)
        needs = [needs_of(job) for job in jobs]
        gpus = max(need.gpus for need in needs) and (self._gpus_per_run or max(need.gpus for need in needs))
        executor.update_parameters(
            name="gptexp",
            timeout_min=self._minutes,
            cpus_per_task=max(need.cpus for need in needs),
            mem_gb=max(1, math.ceil(max(need.memory_mib for need in needs) / 1024)),
            slurm_array_parallelism=self._n_workers,
            slurm_signal_delay_s=SIGNAL_DELAY_S,
            **({"gpus_per_node": math.ceil(gpus)} if gpus else {}),
            **self._asked,
        )
        return executor

    def _find(self, folder: Path, job: Any) -> _Submitted | None:
        """The job as an earlier command submitted it, while it waits or works."""
        files = JobFiles(folder, job.name)
        if (job_id := files.read_id()) is None or files.is_to_stop() or self._kind == "debug":
            return None
        found = _Submitted(job, files, self._open(folder, job_id), heard=None, is_found=True)
        return None if self._is_over(found) else found

    def _open(self, folder: Path, job_id: str) -> Any:
        import submitit

        kinds = {"slurm": submitit.SlurmJob, "local": submitit.LocalJob}
        return kinds[self._kind](folder=folder, job_id=job_id)

    def _submit(self, executor: Any, function: JobFunction, jobs: Sequence[Any], folder: Path) -> None:
        if not jobs:
            return
        files = [JobFiles(folder, job.name) for job in jobs]
        for one in files:
            one.clear()
        # Ctrl-C reaches the processes of this terminal; those of submitit's local executor are to outlive it.
        with _ignore_interrupts(), executor.batch():
            handles = [executor.submit(Errand(function, *pair)) for pair in zip(jobs, files, strict=True)]
        for job, one, handle in zip(jobs, files, handles, strict=True):
            one.write_id(str(handle.job_id))
            self._submitted.append(_Submitted(job, one, handle))

    def _is_over(self, item: _Submitted) -> bool:
        if self._kind == "debug":
            item.handle.result()
            return True
        if self._kind == "local" and item.handle._process is None:
            # Of another command: its process is all that is known.
            return not is_alive(int(item.handle.job_id))
        return bool(item.handle.done())

    def _end(self, item: _Submitted, executor: Any, function: JobFunction) -> Iterator[JobEvent | JobEnd]:
        self._submitted.remove(item)
        try:
            kind, content = item.handle.result()
        except Exception as error:  # submitit's, or whatever the job's process died of
            reason = read_first_line(error)
            if item.deaths < getattr(item.job, "restarts", 0):
                yield JobEvent(item.job, Notice(f"its job ended without a result ({reason}); it is submitted again"))
                self._submit(executor, function, [item.job], item.files.folder)
                self._submitted[-1].deaths = item.deaths + 1
                return
            yield JobEnd(item.job, error=f"its job ended without a result: {reason}")
            return
        if kind == "result" and self._is_too_little(item, content):
            yield JobEvent(item.job, Notice("an earlier command let it stop here; it is submitted again, and goes on"))
            self._submit(executor, function, [item.job], item.files.folder)
            return
        item.files.clear()
        yield JobEnd(item.job, result=content) if kind == "result" else JobEnd(item.job, error=content)

    def _is_too_little(self, item: _Submitted, result: Any) -> bool:
        needs_more = getattr(item.job, "needs_more", None)
        is_left = self._leaving or item.files.is_to_stop()
        return item.is_found and not is_left and needs_more is not None and bool(needs_more(result))


@contextlib.contextmanager
def _ignore_interrupts() -> Iterator[None]:
    """Within this context, processes start deaf to Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
