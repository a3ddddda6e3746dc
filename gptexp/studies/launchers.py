"""Launchers carry out jobs somewhere. They know nothing of training: a function and a list of jobs, no more."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, cast

from gptexp.errors import GptexpError
from gptexp.machine import VISIBLE, divide_gpus
from gptexp.processes import SafeSpawnContext, environment
from gptexp.streams import guard_streams

KILL = 9
"""SIGKILL, which Windows doesn't have."""
EXIT_PATIENCE_S = 3.0
"""How long a worker without work may take to end."""


@dataclass(frozen=True)
class JobContext:
    """What a job can do besides working."""

    emit: Callable[[Any], None]
    """Send a picklable event to whoever launched the job."""
    should_stop: Callable[[], bool]
    """Whether the job has been asked to stop."""


JobFunction = Callable[[Any, JobContext], Any]
"""A module-level function of a picklable job; its return value is the job's result."""


@dataclass(frozen=True)
class JobEvent:
    """Something a job emitted while it works."""

    job: Any
    event: Any


@dataclass(frozen=True)
class JobEnd:
    """A job that ended: with a result, or with the reason why there is none."""

    job: Any
    result: Any = None
    error: str | None = None


@dataclass(frozen=True)
class Notice:
    """Something about a job that its reader should know."""

    message: str


@dataclass(frozen=True)
class Needs:
    """What a job takes of a machine while it runs."""

    cpus: int = 1
    gpus: float = 0.0
    """A share of one where it is below 1."""
    memory_mib: int = 0
    """Of the machine, not of a GPU."""


class Launcher(Protocol):
    """Carries out jobs and tells what happens, in the order in which it happens.

    What a launcher may assume, wherever its workers are:

    - The function is defined at the top of a module. Function, jobs, events and results can be pickled. A worker needs
      the same gptexp, and the packages that its trackers come from.
    - A job says what a launcher has to know of it, and a launcher looks at nothing else: `name` (of a run its id),
      `home` (the folder of all runs), `needs` (a `Needs`), `restarts` (how often it may begin again when its worker
      died) and `needs_more(result)` (whether it asks for more than an earlier job of its name came to). A job that
      lacks one needs nothing special. A worker may carry out one job after the other.
    - The events of a job arrive in the order in which it emits them, and before its end. Each job that was started has
      exactly one end: with its result, or with a sentence that says why there is none.
    - A job looks at `JobContext.should_stop` after every step, and leaves its run so that it can go on. A run whose
      worker died goes on from its last checkpoint when its job is begun again.

    What it may assume about disks, and what it has to see to, depends on where its workers are:

    - *Workers that share the disk* (`LocalLauncher`, `SlurmLauncher`). A run folder in a job is relative to the working
      directory of the process that launches, unless it is absolute; so is a corpus that is a file. Workers must have
      that directory as theirs. All of them see the runs folder, and lock files in it (`flock` and its like) hold
      between them: two jobs of one run, of two launchers too, wait for each other there. A disk on which locks hold
      only on one machine won't do.
    - *Workers with disks of their own* (`RayLauncher`). The launcher carries a run's folder and its text to the worker
      and everything that is written there home (`gptexp.studies.luggage`). Meanwhile it holds the run's lock at home in
      the worker's stead, and brings records before the checkpoints that are saved with them: the folder at home is at
      any moment one that a run can go on from.

    A launcher of the second kind says so with `shares_disk = False`; a sweep then keeps its journal at home. One whose
    work is done on other machines says `is_elsewhere = True`: the cores and GPUs of this one then decide nothing.
    `stop_words` is what people read at the first Ctrl-C.
    """

    def launch(self, function: JobFunction, jobs: Sequence[Any]) -> Iterator[JobEvent | JobEnd]:
        """Carry out jobs, as many at once as there are workers; an iterator that is closed early ends them all."""

    def stop(self) -> None:
        """Ask all running jobs to stop, and start no more. Called from a signal handler, while `launch` waits."""

    def kill(self) -> None:
        """End all running jobs at once, without waiting for them. Called from a signal handler, too."""


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    number: int
    """The lowest that no other worker has: it decides which GPUs it sees."""
    job: Any


class LocalLauncher:
    """Worker processes on this machine. A worker takes job after job, so that its start-up is paid once.

    Where jobs need GPUs, each worker sees those of its own: whole ones, or one of which others have a share, too.
    """

    shares_disk = True
    is_elsewhere = False

    def __init__(self, n_workers: int, *, gpus_per_run: float | None = None, gpus: Sequence[str] | None = None) -> None:
        """Args:
        gpus_per_run: how many GPUs a worker takes, or which share of one; None takes what the jobs need, and lets
            workers share GPUs where there are more of them.
        gpus: what CUDA calls the GPUs to use; None takes all that this process sees.
        """
        self._n_workers = max(1, n_workers)
        self._gpus_per_run, self._gpus = gpus_per_run, gpus
        self._context = SafeSpawnContext()
        self._workers: dict[Connection, _Worker] = {}
        self._deaths: dict[int, int] = {}
        self._visible: list[str] = []
        self._stopping = False

    def launch(self, function: JobFunction, jobs: Sequence[Any]) -> Iterator[JobEvent | JobEnd]:
        """Yields each job's events and its end.

        A worker that dies is replaced: its job begins again as often as the job allows, and then fails.

        Raises:
            GptexpError: each run was promised GPUs, and this machine names none.
        """
        waiting = deque(jobs)
        self._visible = self._divide_gpus(jobs)
        try:
            while self._workers or (waiting and not self._stopping):
                while waiting and not self._stopping and len(self._workers) < self._n_workers:
                    self._start_worker(function, waiting.popleft())
                for connection in wait(list(self._workers), timeout=1.0):
                    # Windows has a class of its own for pipes, with the same methods.
                    yield from self._receive(cast(Connection, connection), waiting)
        finally:
            self.kill()

    def _divide_gpus(self, jobs: Sequence[Any]) -> list[str]:
        """CUDA_VISIBLE_DEVICES of the workers, by their numbers; empty where no job needs a GPU.

        Raises:
            GptexpError: GPUs are to be divided, and there are none that could be told apart.
        """
        needed = max((needs_of(job).gpus for job in jobs), default=0.0)
        if not needed:
            return []
        from gptexp.training.device import find_gpus

        gpus = find_gpus() if self._gpus is None else list(self._gpus)
        visible = divide_gpus(gpus, self._gpus_per_run or needed)
        if self._gpus_per_run is not None:
            if not visible:
                raise GptexpError(
                    f"--gpus-per-run {self._gpus_per_run:g}: this machine names no GPU that could be given to a run; "
                    f"list its GPUs in {VISIBLE}, or leave the option out"
                )
            self._n_workers = min(self._n_workers, len(visible))
        return visible

    def stop(self) -> None:
        self._stopping = True
        for worker in self._workers.values():
            process = worker.process
            if process.pid is not None and process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)

    def await_workers(self, seconds: float) -> None:
        """Wait until the workers have ended, at most so long. Their last words stay unread."""
        until = time.monotonic() + seconds
        for worker in self._workers.values():
            worker.process.join(max(0.0, until - time.monotonic()))

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers.values():
            worker.process.kill()
        self._workers.clear()

    def _start_worker(self, function: JobFunction, job: Any) -> None:
        ours, theirs = self._context.Pipe()
        number = min(set(range(self._n_workers)) - {worker.number for worker in self._workers.values()})
        process = self._context.Process(target=_work, args=(function, theirs), daemon=True)
        visible = {VISIBLE: self._visible[number % len(self._visible)]} if self._visible else {}
        with environment(visible):
            process.start()
        theirs.close()
        ours.send(job)
        self._workers[ours] = _Worker(process, number, job)

    def _receive(self, connection: Connection, waiting: deque[Any]) -> Iterator[JobEvent | JobEnd]:
        worker = self._workers[connection]
        process, job = worker.process, worker.job
        try:
            kind, content = connection.recv()
        except (EOFError, OSError):
            process.join()
            del self._workers[connection]
            if self._stopping and process.exitcode == -signal.SIGTERM:
                # It was asked before it could listen. Its job has not begun, and has no end, like those that wait.
                return
            yield self._bury(job, _explain_death(process.exitcode), waiting)
            return
        if kind == "event":
            yield JobEvent(job, content)
            return
        if waiting and not self._stopping:
            next_job = waiting.popleft()
            self._workers[connection] = replace(worker, job=next_job)
            connection.send(next_job)
        else:
            del self._workers[connection]
            connection.close()
            # Its job is done and told. What it loaded may want to phone somebody at its end, and wait for the answer.
            process.join(EXIT_PATIENCE_S)
            process.kill()
            process.join()
        yield JobEnd(job, result=content) if kind == "result" else JobEnd(job, error=content)

    def _bury(self, job: Any, reason: str, waiting: deque[Any]) -> JobEvent | JobEnd:
        """The job of a worker that died begins again in another one, or has failed."""
        deaths = self._deaths[id(job)] = self._deaths.get(id(job), 0) + 1
        if self._stopping or deaths > getattr(job, "restarts", 0):
            return JobEnd(job, error=reason)
        waiting.appendleft(job)
        return JobEvent(job, Notice(f"{reason}; another process goes on from its last checkpoint"))


def launch_one(launcher: Launcher, function: JobFunction, job: Any, tell: Callable[[JobEvent], None]) -> JobEnd:
    """Carry out one job; returns its end, also of one that was stopped before it began.

    Args:
        tell: is called with each event of the job.
    """
    end = JobEnd(job, error="it was stopped before it began")
    for news in launcher.launch(function, [job]):
        if isinstance(news, JobEnd):
            end = news
        else:
            tell(news)
    return end


def needs_of(job: Any) -> Needs:
    """What a job takes; one that doesn't say takes a core."""
    found = getattr(job, "needs", None)
    return found if isinstance(found, Needs) else Needs()


def _explain_death(exitcode: int | None) -> str:
    if exitcode == -KILL:
        return "its process was killed (signal 9), most likely because the machine ran out of memory"
    if exitcode is not None and exitcode < 0:
        return f"its process died of signal {-exitcode} ({signal.Signals(-exitcode).name})"
    return f"its process ended with exit status {exitcode}"


def _work(function: JobFunction, connection: Connection) -> None:
    """A worker's life: a job, its events, its result, and the next one until the pipe closes."""
    asked = threading.Event()
    # Ctrl-C reaches the whole process group; the launcher decides what it means and tells us by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    # By these a batch system speaks to the process that started us, and it may speak to all of them.
    for name in ("SIGUSR1", "SIGUSR2"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, signal.SIG_IGN)
    guard_streams()
    parent = os.getppid()
    context = JobContext(
        emit=lambda event: connection.send(("event", event)),
        # A launcher that was killed can't say so: an orphan stops by itself.
        should_stop=lambda: asked.is_set() or os.getppid() != parent,
    )
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            job = connection.recv()
            try:
                answer = ("result", function(job, context))
            except GptexpError as error:
                answer = ("error", str(error))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except MemoryError:
                answer = ("error", "it ran out of memory")
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119
                answer = ("error", f"{type(error).__name__} at {place}: {error}")
            connection.send(answer)
            if asked.is_set() and not connection.poll():
                return
