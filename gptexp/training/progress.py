"""Running totals over a run's records. The same records give the same totals, also after a resume."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gptexp.records import EvalRecord, EventRecord, Record, SampleRecord, StepRecord

SMOOTHING_STEPS = 10
"""Number of last train losses that are averaged for the current train loss."""


@dataclass
class Progress:
    """Running totals over one run's records."""

    step: int = 0
    tokens_seen: int = 0
    train_seconds: float = 0.0
    clipped_steps: int = 0
    max_grad_norm: float | None = None
    initial_val_loss: float | None = None
    last_eval: EvalRecord | None = None
    best_eval: EvalRecord | None = None
    """The evaluation with the lowest val loss on the fixed subset."""
    diverged: EventRecord | None = None
    lowest_threshold: float = math.inf
    """The lowest loss threshold that already has a sample; higher ones need no sample any more."""
    milestone_steps: set[int] = field(default_factory=set)
    """Steps at which the loss passed a threshold; the weights of these steps are kept."""
    last_finite_train_loss: float | None = None
    recent_losses: deque[float] = field(default_factory=lambda: deque(maxlen=SMOOTHING_STEPS))

    @property
    def train_loss(self) -> float | None:
        """Mean of the last 10 train losses, in nats per token; None before the first step."""
        return sum(self.recent_losses) / len(self.recent_losses) if self.recent_losses else None

    def totals(self) -> dict[str, Any]:
        """The fields of a `Result` that follow from the records, by field name."""
        last, best, diverged = self.last_eval, self.best_eval, self.diverged
        return {
            "last_step": self.step,
            "final_train_loss": self.train_loss,
            "final_val_loss": last.val_loss if last else None,
            "final_val_bpb": last.val_bpb if last else None,
            "best_val_loss": best.val_loss if best else None,
            "best_val_step": best.step if best else None,
            "initial_val_loss": self.initial_val_loss,
            "diverged_step": diverged.step if diverged else None,
            "diverged_where": diverged.detail if diverged else None,
            "last_finite_train_loss": self.last_finite_train_loss,
            "clipped_fraction": self.clipped_steps / self.step if self.step else None,
            "max_grad_norm": self.max_grad_norm,
            "tokens_seen": self.tokens_seen,
        }

    def add(self, record: Record) -> None:
        """Update the totals with the next record, in the order of the log."""
        match record:
            case StepRecord():
                self.step = record.step
                self.tokens_seen = record.tokens_seen
                self.train_seconds += record.step_time_s
                self.clipped_steps += record.clipped
                self.recent_losses.append(record.train_loss)
                if math.isfinite(record.train_loss):
                    self.last_finite_train_loss = record.train_loss
                if self.max_grad_norm is None or not record.grad_norm <= self.max_grad_norm:
                    self.max_grad_norm = record.grad_norm
            case EvalRecord():
                self._add_eval(record)
            case SampleRecord(threshold=float() as threshold):
                self.lowest_threshold = min(self.lowest_threshold, threshold)
                self.milestone_steps.add(record.step)
            case EventRecord(name="diverged"):
                self.diverged = record

    def _add_eval(self, record: EvalRecord) -> None:
        if record.step == 0 and self.initial_val_loss is None:
            self.initial_val_loss = record.val_loss
        self.last_eval = record
        is_better = self.best_eval is None or record.val_loss < self.best_eval.val_loss
        # Losses on the whole split and on the subset can't be compared; only the subset counts here.
        if not record.whole and is_better and math.isfinite(record.val_loss):
            self.best_eval = record


def fold(records: Iterable[Record]) -> Progress:
    """The totals over `records`, given in the order of the log."""
    progress = Progress()
    for record in records:
        progress.add(record)
    return progress
