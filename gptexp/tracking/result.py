"""The content of result.json: how a run ended, and its final numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gptexp.checksums import FileSum

DONE = ("completed", "diverged")
"""Outcomes that need no further work."""

STOPPED = "stopped"
"""Outcome of a run that was requested only up to a step before its last one (`--until-step`) and reached it. Its config
is that of the whole run, and a checkpoint of that step allows it to be resumed.

Like `interrupted` it is stored in result.json, which is deleted before the run is resumed. So a result never lies
beside records that it doesn't cover. Unlike `interrupted`, it is what the user asked for.
"""

ENDED_AS_ASKED = (*DONE, STOPPED)
"""Outcomes of runs that reached their requested end: the log is complete, and the result must follow from it."""

RESULT_TEXTS = ("run_id", "outcome", "outcome_detail", "diverged_where")
"""Text fields of a result. `NaN` in them is text, not a number."""


@dataclass(frozen=True)
class Result:
    """How a run ended. Losses in nats per token; None where nothing was measured."""

    run_id: str
    outcome: str
    """completed, diverged, stopped, interrupted or failed."""
    outcome_detail: str
    last_step: int
    final_train_loss: float | None
    """Mean of the last 10 train losses."""
    final_val_loss: float | None
    final_val_bpb: float | None
    best_val_loss: float | None
    best_val_step: int | None
    initial_val_loss: float | None
    diverged_step: int | None
    diverged_where: str | None
    clipped_fraction: float | None
    max_grad_norm: float | None
    tokens_seen: int
    duration_s: float
    """Seconds of work, summed over all processes that worked on the run."""
    peak_memory_mib: float | None
    finished_at: str
    """ISO 8601, UTC."""
    last_finite_train_loss: float | None = None
    bigram_loss: float | None = None
    """What a bigram model of the same corpus reaches on the val split (`gptexp.data.baselines`); None in results of
    older versions, and where it wasn't counted."""
    flags: dict[str, dict[str, Any]] = field(default_factory=dict)
    """spiked, plateaued, overfit and so on, each with its numbers; the rules are in `gptexp.training.flags`."""


SUMMED = ("config.json", "members.jsonl", "provenance.jsonl", "records.jsonl")
"""The files whose checksums result.json stores. Later memberships may be appended to members.jsonl; the part that was
checksummed must stay."""


@dataclass(frozen=True)
class Ending:
    """The content of result.json."""

    result: Result
    sums: dict[str, FileSum] | None
    """The checksums of the files of `SUMMED` when the result was written; None in results of older versions."""


def got_to(result: Result, until_step: int | None) -> bool:
    """Whether a run was stopped as requested, at `until_step` or later."""
    return until_step is not None and result.outcome == STOPPED and result.last_step >= until_step


def why_fewer_steps(outcome: str, last_step: int, log: bytes) -> str | None:
    """A sentence if a log has fewer steps than its result says; None if it has them all."""
    steps = count_steps(log)
    if outcome not in ENDED_AS_ASKED or steps >= last_step:
        return None
    return f"result.json says {last_step} steps, records.jsonl holds {steps}"


def count_steps(log: bytes) -> int:
    """Number of step records in a log, counted by the start of their lines without parsing them."""
    begin = b'{"kind": "step"'
    return log.count(b"\n" + begin) + log.startswith(begin)
