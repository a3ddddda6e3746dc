"""Trackers mirror a run elsewhere: W&B, a live view. The run directory stays the truth."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gptexp.records import Record
from gptexp.tracking.run_dir import Result


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
                    self.warn(f"{type(tracker).__name__} failed and is left out: {type(error).__name__}: {error}")
