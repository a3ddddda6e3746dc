"""What a run tells of itself while it trains, for whoever shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from gptexp.mirrors.protocol import RunInfo, Tracker
from gptexp.records import EvalRecord, Record, StepRecord
from gptexp.studies.launchers import JobContext
from gptexp.studies.launchers import Notice as Notice
from gptexp.tracking.result import Result

EVENTS_PER_SECOND = 4


@dataclass(frozen=True)
class StepEvent:
    """Where a run is now. Sent a few times a second, and at every evaluation."""

    step: int
    train_loss: float | None
    lr: float | None
    tokens_per_sec: float | None
    val_loss: float | None
    is_eval: bool


class RunView(Protocol):
    """Shows a study while it runs."""

    def on_event(self, run_id: str, event: StepEvent | Notice) -> None: ...

    def on_end(self, run_id: str, result: Result | None, error: str | None) -> None: ...

    def on_mirrored(self, run_id: str, error: str | None) -> None:
        """A run that was done before is mirrored from its record, or not, for that reason."""


class EventTracker(Tracker):
    """Sends a worker's progress to the process that shows it."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._last_sent = 0.0
        self._val_loss: float | None = None
        self._step: StepRecord | None = None

    def start(self, info: RunInfo) -> None:
        self._send(info.from_step, is_eval=False)

    def log(self, record: Record) -> None:
        match record:
            case StepRecord():
                self._step = record
                if time.monotonic() - self._last_sent > 1 / EVENTS_PER_SECOND:
                    self._send(record.step, is_eval=False)
            case EvalRecord():
                self._val_loss = record.val_loss
                # The one over the whole split comes with the result.
                if not record.whole:
                    self._send(record.step, is_eval=True)

    def finish(self, result: Result) -> None: ...

    def _send(self, step: int, *, is_eval: bool) -> None:
        last = self._step
        self._last_sent = time.monotonic()
        self._context.emit(
            StepEvent(
                step,
                last.train_loss if last else None,
                last.lr if last else None,
                last.tokens_per_sec if last else None,
                self._val_loss,
                is_eval,
            )
        )
