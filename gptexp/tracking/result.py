"""How a run ended: what result.json holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gptexp.checksums import FileSum

DONE = ("completed", "diverged")
"""Outcomes that need no further work."""

STOPPED = "stopped"
"""Outcome of a run that was asked for up to a step before its last one, and got there: its config is that of the whole
run, and a checkpoint of that step is there to go on from.

It is an outcome in result.json like `interrupted`, not a file of its own: whoever goes on with the run takes it away
first, so that there is never a result beside records that it doesn't speak of. Unlike `interrupted` it is what was
asked for.
"""

ENDED_AS_ASKED = (*DONE, STOPPED)
"""Outcomes of runs that did what was asked of them: nothing of their log is missing, and the result has to follow from
it."""

RESULT_TEXTS = ("run_id", "outcome", "outcome_detail", "diverged_where")
"""Fields of a result that are text and stay so, whatever they say: `NaN` in them is no number."""


@dataclass(frozen=True)
class Result:
    """How a run ended. Losses in nats per token; None where there was nothing to measure."""

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
    flags: dict[str, dict[str, Any]] = field(default_factory=dict)
    """spiked, plateaued, overfit, each with its numbers; the rules are in `gptexp.training.flags`."""


SUMMED = ("config.json", "members.jsonl", "provenance.jsonl", "records.jsonl")
"""The files that a result builds on: it names their checksums. Members may come later: what was there must stay."""


@dataclass(frozen=True)
class Ending:
    """What result.json holds."""

    result: Result
    sums: dict[str, FileSum] | None
    """Of each file of `SUMMED` as it was then; None in results from before there were any."""


def got_to(result: Result, until_step: int | None) -> bool:
    """Whether a run was stopped where it was asked to, at `until_step` or later."""
    return until_step is not None and result.outcome == STOPPED and result.last_step >= until_step


def why_fewer_steps(outcome: str, last_step: int, log: bytes) -> str | None:
    """Why a log has fewer steps than its result says, in a sentence; None where it has not."""
    steps = count_steps(log)
    if outcome not in ENDED_AS_ASKED or steps >= last_step:
        return None
    return f"result.json speaks of {last_step} steps, records.jsonl holds {steps}"


def count_steps(log: bytes) -> int:
    """Step records in a log, by the way in which their lines begin."""
    begin = b'{"kind": "step"'
    return log.count(b"\n" + begin) + log.startswith(begin)
