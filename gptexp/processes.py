"""Work that several processes of this machine do together."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Processes:
    """This process and others beside it. A context manager: the others end with it."""

    def __init__(self, count: int, wake: Callable[[], None]) -> None:
        """The others start now, to be ready when there is work.

        Args:
            count: processes in all, this one included.
            wake: a function that each of the others calls first, for what its module imports.
        """
        others = count - 1
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(others, mp_context=context) if others > 0 else None
        if self.pool:
            # A process is started with each; none is left to be started when one may have died.
            for _ in range(others):
                self.pool.submit(wake)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` of every item, in their order; work, items and results have to be plain data.

        Raises:
            Whatever `work` does.
        """
        if self.pool is None:
            return [work(item) for item in items]
        try:
            futures = [self.pool.submit(work, item) for item in items]
            # From the end, while the others come from the beginning; what they have begun can't be cancelled.
            own = {n: work(items[n]) for n in reversed(range(len(items))) if futures[n].cancel()}
            return [own[n] if n in own else future.result() for n, future in enumerate(futures)]
        except BrokenProcessPool:
            # Somebody ended a process, or memory ran out: one process needs less of it.
            self.pool = None
            return [work(item) for item in items]


ALONE = Processes(1, wake=lambda: None)
"""This process only."""
