"""Trackers mirror a run elsewhere: W&B, a live view. The run directory stays the truth."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gptexp.errors import GptexpError
from gptexp.records import Record
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir

SHORT_WAIT_S = 1.0
"""How long `finish` waits for a tracker before it asks how long it should."""


@dataclass(frozen=True)
class RunInfo:
    """What a tracker is told of a run when it starts or goes on."""

    run_dir: str
    content: Mapping[str, Any]
    """The run's config.json."""
    provenance: Mapping[str, Any]
    member: Mapping[str, Any]
    """The study, arm, scale, seed and question that the run was asked for, or an empty dict."""
    earlier: tuple[Record, ...]
    """The records of the steps before this process, for a mirror that can't know which of them it kept."""
    is_over: bool = False
    """Whether nothing more is trained: the tracker is told of the run from its record."""

    @property
    def run_id(self) -> str:
        return str(self.content["run_id"])

    @property
    def config(self) -> dict[str, Any]:
        """Every field of the resolved RunConfig."""
        return dict(self.content["config"])

    @property
    def about(self) -> dict[str, Any]:
        """What else config.json holds: corpus, tokenizer, engine_version, n_params."""
        return {name: value for name, value in self.content.items() if name not in ("run_id", "config")}

    @property
    def from_step(self) -> int:
        """Steps that were done before this process; 0 for a new run."""
        return int(self.provenance["from_step"])


class Tracker(Protocol):
    """Receives one run's typed records. Any method may raise: the run goes on without the tracker."""

    def start(self, info: RunInfo) -> None: ...

    def log(self, record: Record) -> None: ...

    def finish(self, result: Result) -> None: ...

    def asked_to_stop(self) -> bool:
        """Whether somebody has stopped the run over there."""
        return False


class TrackerSettings(Protocol):
    """One tracker as it was asked for, for all runs of a command. Picklable: every worker gets it."""

    @property
    def wants_every_run(self) -> bool:
        """Whether it is told of a run, too, that another process brings to its end meanwhile."""

    def find_lacking(self, over: Mapping[str, RunDir], noted: Collection[str]) -> frozenset[str]:
        """The ids of runs that are over and that the tracker lacks, or has in part: it is told of them anew.

        Args:
            over: the runs that are over, by id.
            noted: the ids of those of them that a study asks for which did not before.
        """

    def build(self, run_dir: str, warn: Callable[[str], None]) -> Tracker:
        """The tracker of one run. It should wait for nothing: what is slow belongs into a `BackgroundTracker`.

        Args:
            warn: where what a person should know goes.
        """


def build_trackers(chosen: Iterable[TrackerSettings], run_dir: str, warn: Callable[[str], None]) -> list[Tracker]:
    """The trackers of one run; one that can't be built is left out with a note."""
    trackers = []
    for settings in chosen:
        try:
            trackers.append(settings.build(run_dir, warn))
        except Exception as error:
            warn(_explain(settings, error))
    return trackers


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


def _explain(tracker: object, error: Exception) -> str:
    if isinstance(error, GptexpError):
        return str(error)
    reason = " ".join(str(error).split())[:300]
    return f"{type(tracker).__name__} failed and is left out: {type(error).__name__}: {reason}"


class BackgroundTracker(Tracker):
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

    def asked_to_stop(self) -> bool:
        return self._tracker.asked_to_stop()

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
