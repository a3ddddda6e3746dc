"""Trackers mirror a run elsewhere: W&B, a live view. The run directory stays the truth."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gptexp.errors import GptexpError
from gptexp.records import Record
from gptexp.tracking.result import Result

SHORT_WAIT_S = 1.0
"""How long `finish` waits for a tracker before it asks how long it should."""


@dataclass(frozen=True)
class RunInfo:
    """What a tracker is told of a run when it starts."""

    run_id: str
    run_dir: str
    config: dict[str, Any]
    """Every field of the resolved RunConfig."""
    about: dict[str, Any]
    """What else config.json holds: corpus, tokenizer, engine_version, n_params."""
    provenance: dict[str, Any]
    member: dict[str, Any]
    """The study, arm, scale, seed and question that the run was asked for, or an empty dict."""
    from_step: int
    """Steps that were done before this process; 0 for a new run."""
    earlier: tuple[Record, ...]
    """The records of those steps, for a mirror that can't know which of them it kept."""


class Tracker(Protocol):
    """Receives one run's typed records. Any method may raise: the run goes on without the tracker."""

    def start(self, info: RunInfo) -> None: ...

    def log(self, record: Record) -> None: ...

    def finish(self, result: Result) -> None: ...


@dataclass
class FanOut:
    """Hands everything to several trackers; one that fails is dropped with a note, the others and the run go on."""

    trackers: Sequence[Tracker]
    warn: Callable[[str], None]
    _working: list[Tracker] = field(init=False)

    def __post_init__(self) -> None:
        self._working = list(self.trackers)

    def start(self, info: RunInfo) -> None:
        self._each(lambda tracker: tracker.start(info))

    def log(self, record: Record) -> None:
        self._each(lambda tracker: tracker.log(record))

    def finish(self, result: Result) -> None:
        self._each(lambda tracker: tracker.finish(result))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for tracker in list(self._working):
            try:
                call(tracker)
            except Exception as error:
                self._working.remove(tracker)
                with contextlib.suppress(Exception):
                    self.warn(_explain(tracker, error))


def _explain(tracker: Tracker, error: Exception) -> str:
    if isinstance(error, GptexpError):
        return str(error)
    reason = " ".join(str(error).split())[:300]
    return f"{type(tracker).__name__} failed and is left out: {type(error).__name__}: {reason}"


class BackgroundTracker:
    """Runs a slow tracker in a thread of its own: the run never waits for it, and at its end only so long.

    Calls reach the tracker in order. One that raises ends the mirroring: later calls raise its error, so that
    `FanOut` says so.
    """

    def __init__(self, tracker: Tracker, *, patience_s: Callable[[], float], late: str) -> None:
        """Args:
        patience_s: asked at the end, how long `finish` waits for the tracker to catch up, in seconds.
        late: what a person should know when it didn't.
        """
        self._tracker = tracker
        self._patience_s = patience_s
        self._late = late
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=type(tracker).__name__, daemon=True)

    def start(self, info: RunInfo) -> None:
        self._thread.start()
        self._put(lambda: self._tracker.start(info))

    def log(self, record: Record) -> None:
        self._put(lambda: self._tracker.log(record))

    def finish(self, result: Result) -> None:
        """Raises:
        GptexpError: the tracker did not catch up in time; it goes on, and so may the next run. Exception: what the
            tracker raised.
        """
        self._put(lambda: self._tracker.finish(result))
        self._calls.put(None)
        self._thread.join(SHORT_WAIT_S)
        if self._thread.is_alive():
            self._thread.join(self._patience_s())
        if self._thread.is_alive():
            raise GptexpError(self._late)
        self._raise_error()

    def _put(self, call: Callable[[], None]) -> None:
        self._raise_error()
        self._calls.put(call)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception as error:
                self._error = error
                return
