"""Work that several processes of this machine do together."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.popen_spawn_posix import Popen
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import TypeVar

from gptexp.streams import guard_streams

Item = TypeVar("Item")
Result = TypeVar("Result")


SAFE_PATH = "PYTHONSAFEPATH"
_starting = threading.RLock()


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Python processes that are started inside import nothing from the working directory, nor do those they start.

    A process of `multiprocessing` is a `python -c`, for which a `socket.py` in the working directory would come before
    Python's own. Source: https://docs.python.org/3/using/cmdline.html#envvar-PYTHONSAFEPATH
    """
    with _starting:
        before = os.environ.get(SAFE_PATH)
        os.environ[SAFE_PATH] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[SAFE_PATH]
            else:
                os.environ[SAFE_PATH] = before


class _SafeProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Popen:
        with safe_path():
            return SpawnProcess._Popen(process_obj)


class SafeSpawnContext(SpawnContext):
    """`multiprocessing`'s spawn, with processes that import nothing from the working directory."""

    Process = _SafeProcess

    def __init__(self) -> None:
        super().__init__()
        with safe_path():
            # The first lock or pipe starts it otherwise, and it is a `python -c` too.
            resource_tracker.ensure_running()


class Processes:
    """This process and others beside it. A context manager: the others end with it.

    Where others can't be started, or somebody ends them, or memory runs out, this process does their work: it takes
    longer, and nothing is lost.
    """

    def __init__(self, count: int, wake: Callable[[], None]) -> None:
        """The others start now, to be ready when there is work.

        Args:
            count: processes in all, this one included.
            wake: a function that each of the others calls first, for what its module imports.
        """
        self._others = max(0, count - 1)
        self.pool: ProcessPoolExecutor | None = None
        if not self._others:
            return
        self.pool = ProcessPoolExecutor(self._others, mp_context=SafeSpawnContext(), initializer=_begin)
        try:
            # A process is started with each. One that is started when another has died is never ended.
            for _ in range(self._others):
                self.pool.submit(wake)
        except (OSError, BrokenProcessPool):
            self._end()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end()

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` of every item, in their order; work, items and results have to be plain data.

        Raises:
            Whatever `work` does.
        """
        found: dict[int, Result] = {}
        errors: list[Exception] = []
        todo = deque(range(len(items)))

        def hand_out(pool: ProcessPoolExecutor) -> None:
            """Give one of the others item after item. None lies in the pool's queue: what does can't be taken back."""
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

        askers = []
        if self.pool:
            askers = [threading.Thread(target=hand_out, args=(self.pool,)) for _ in range(self._others)]
        for asker in askers:
            asker.start()
        try:
            _take(work, items, todo, found, errors)
        except BaseException:
            # The others shall not begin anything more.
            todo.clear()
            raise
        finally:
            for asker in askers:
                asker.join()
        if errors:
            raise errors[0]
        # What one that died had taken.
        _take(work, items, todo, found, errors)
        return [found[number] for number in range(len(items))]

    def _end(self) -> None:
        if self.pool:
            if self.pool._broken:
                # Python before 3.11.7 and 3.12.1 goes on writing to processes that are dead, and waits for ever: as
                # long as this end is open, too, nothing tells it that nobody reads (github.com/python/cpython/94777).
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
    """This process's share: from the end, while the others come from the beginning."""
    while not errors:
        try:
            number = todo.pop()
        except IndexError:
            return
        found[number] = work(items[number])


def _begin() -> None:
    """A process's first act: Ctrl-C is its parent's to understand, and it doesn't outlive that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guard_streams()
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


ALONE = Processes(1, wake=lambda: None)
"""This process only."""
