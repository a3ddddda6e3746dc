"""Distributes work over several processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from gptexp.streams import guard_streams

if TYPE_CHECKING:
    from multiprocessing.popen_spawn_posix import Popen

Item = TypeVar("Item")
Result = TypeVar("Result")


SAFE_PATH = "PYTHONSAFEPATH"
_starting = threading.RLock()


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Within this context, Python processes start with PYTHONSAFEPATH: they don't import from the working directory.

    `multiprocessing` starts processes as `python -c`, which would import a `socket.py` in the working directory before
    Python's own. The variable is inherited by the processes that they start.
    Source: https://docs.python.org/3/using/cmdline.html#envvar-PYTHONSAFEPATH
    """
    with environment({SAFE_PATH: "1"}):
        yield


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Within this context, processes start with these environment variables."""
    with _starting:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


class _SafeProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Popen:
        with safe_path():
            return SpawnProcess._Popen(process_obj)


class SafeSpawnContext(SpawnContext):
    """`multiprocessing`'s spawn context with processes that don't import from the working directory."""

    Process = _SafeProcess

    def __init__(self) -> None:
        super().__init__()
        if not hasattr(os, "fork"):
            # Windows needs no resource tracker, and has none.
            return
        with safe_path():
            # The resource tracker is a `python -c` process too; otherwise the first lock would start it later.
            resource_tracker.ensure_running()


class Processes:
    """A pool of this process and worker processes. Leaving the context ends the workers.

    If workers can't be started, are killed or run out of memory, this process does their work, only more slowly.
    """

    def __init__(self, count: int, wake: Callable[[], None]) -> None:
        """Start the workers, so that they are ready when there is work.

        Args:
            count: number of processes including this one.
            wake: a function that each worker calls first, so that it imports the function's module early.
        """
        self._others = max(0, count - 1)
        self.pool: ProcessPoolExecutor | None = None
        if not self._others:
            return
        self.pool = ProcessPoolExecutor(self._others, mp_context=SafeSpawnContext(), initializer=_begin)
        try:
            # Each submit starts one process. All are started now: one started after another has died never ends.
            for _ in range(self._others):
                self.pool.submit(wake)
        except (OSError, BrokenProcessPool):
            self._end()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end()

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work(item)` for every item, in the order of the items. Function, items and results must be picklable.

        Raises:
            The first exception that `work` raised.
        """
        found: dict[int, Result] = {}
        errors: list[Exception] = []
        todo = deque(range(len(items)))

        def hand_out(pool: ProcessPoolExecutor) -> None:
            """Submit items to a worker one at a time: items queued in the pool can't be withdrawn."""
            while not errors:
                try:
                    number = todo.popleft()
                except IndexError:
                    return
                try:
                    found[number] = pool.submit(work, items[number]).result()
                except BrokenProcessPool:
                    todo.append(number)
                    return
                except Exception as error:
                    errors.append(error)

        threads = []
        if self.pool:
            threads = [threading.Thread(target=hand_out, args=(self.pool,)) for _ in range(self._others)]
        for thread in threads:
            thread.start()
        try:
            _take(work, items, todo, found, errors)
        except BaseException:
            # The workers must not begin another item.
            todo.clear()
            raise
        finally:
            for thread in threads:
                thread.join()
        if errors:
            raise errors[0]
        # Do the items of workers that died.
        _take(work, items, todo, found, errors)
        return [found[number] for number in range(len(items))]

    def _end(self) -> None:
        if self.pool:
            if self.pool._broken:
                # Python before 3.11.7 and 3.12.1 keeps writing to dead processes and blocks for ever, because this
                # process's own read end keeps the pipe open (github.com/python/cpython/94777). So close it.
                self.pool._call_queue._reader.close()  # type: ignore[attr-defined]
            self.pool.shutdown(cancel_futures=True)
            self.pool = None


def _take(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    todo: deque[int],
    found: dict[int, Result],
    errors: list[Exception],
) -> None:
    """Do items in this process, from the end of `todo`; the workers take them from the beginning."""
    while not errors:
        try:
            number = todo.pop()
        except IndexError:
            return
        found[number] = work(items[number])


def _begin() -> None:
    """Initialise a worker: it ignores Ctrl-C, which its parent handles, and exits when its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guard_streams()
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


ALONE = Processes(1, wake=lambda: None)
"""A pool without workers: this process does all the work."""


def is_alive(process: int) -> bool:
    """Whether a process of this machine with that number is there; True where that can't be asked."""
    if not hasattr(os, "fork"):
        # For Windows signal 0 is a Ctrl-C.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
