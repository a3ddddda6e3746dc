"""Launchers carry out jobs somewhere. They know nothing of training: a function and a list of jobs, no more."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from gptexp.errors import GptexpError
from gptexp.processes import SafeSpawnContext
from gptexp.streams import guard_streams

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


class Launcher(Protocol):
    """Carries out jobs and tells what happens, in the order in which it happens.

    What a launcher may assume, wherever its workers are:

    - The function is defined at the top of a module. Function, jobs, events and results can be pickled. A worker needs
      the same gptexp, and the packages that its trackers come from.
    - A launcher doesn't look into a job. A worker may carry out one job after the other.
    - A run folder in a job is relative to the working directory of the process that launches, unless it is absolute;
      so is a corpus that is a file. Workers must have that directory as theirs.
    - All workers see the runs folder, and lock files in it (`flock` and its like) hold between them: two jobs of one
      run, of two launchers too, wait for each other there. A disk on which locks hold only on one machine won't do.
    - The events of a job arrive in the order in which it emits them, and before its end. Each job that was started has
      exactly one end: with its result, or with a sentence that says why there is none.
    - A job looks at `JobContext.should_stop` after every step, and leaves its run so that it can go on.
    """

    def launch(self, function: JobFunction, jobs: Sequence[Any]) -> Iterator[JobEvent | JobEnd]:
        """Carry out jobs, as many at once as there are workers; an iterator that is closed early ends them all."""

    def stop(self) -> None:
        """Ask all running jobs to stop, and start no more. Called from a signal handler, while `launch` waits."""

    def kill(self) -> None:
        """End all running jobs at once, without waiting for them. Called from a signal handler, too."""


class LocalLauncher:
    """Worker processes on this machine. A worker takes job after job, so that its start-up is paid once."""

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._context = SafeSpawnContext()
        self._workers: dict[Connection, tuple[BaseProcess, Any]] = {}
        self._stopping = False

    def launch(self, function: JobFunction, jobs: Sequence[Any]) -> Iterator[JobEvent | JobEnd]:
        """Yields each job's events and its end. A worker that dies fails its job; the others go on."""
        waiting = deque(jobs)
        try:
            while self._workers or (waiting and not self._stopping):
                while waiting and not self._stopping and len(self._workers) < self._n_workers:
                    self._start_worker(function, waiting.popleft())
                for connection in wait(list(self._workers), timeout=1.0):
                    assert isinstance(connection, Connection)
                    yield from self._receive(connection, waiting)
        finally:
            self.kill()

    def stop(self) -> None:
        self._stopping = True
        for process, _ in self._workers.values():
            if process.pid is not None and process.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End all workers at once."""
        for process, _ in self._workers.values():
            process.kill()
        self._workers.clear()

    def _start_worker(self, function: JobFunction, job: Any) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(function, theirs), daemon=True)
        process.start()
        theirs.close()
        ours.send(job)
        self._workers[ours] = (process, job)

    def _receive(self, connection: Connection, waiting: deque[Any]) -> Iterator[JobEvent | JobEnd]:
        process, job = self._workers[connection]
        try:
            kind, content = connection.recv()
        except (EOFError, OSError):
            process.join()
            del self._workers[connection]
            yield JobEnd(job, error=_explain_death(process.exitcode))
            return
        if kind == "event":
            yield JobEvent(job, content)
            return
        if waiting and not self._stopping:
            next_job = waiting.popleft()
            self._workers[connection] = (process, next_job)
            connection.send(next_job)
        else:
            del self._workers[connection]
            connection.close()
            # Its job is done and told. What it loaded may want to phone somebody at its end, and wait for the answer.
            process.join(EXIT_PATIENCE_S)
            process.kill()
            process.join()
        yield JobEnd(job, result=content) if kind == "result" else JobEnd(job, error=content)


def _explain_death(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
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
