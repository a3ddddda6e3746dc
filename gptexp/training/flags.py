"""Flags: warnings about a run besides its outcome (spiked, plateaued, overfit). Every page shows their rules."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from gptexp.records import EvalRecord, Record, StepRecord

SPIKE_WINDOW = 25
"""Number of steps before a step whose losses define the normal level."""
SPIKE_DEVIATIONS = 6.0
"""A spike is more than this many robust standard deviations (1.4826 x median absolute deviation) above the median."""
SPIKE_NATS = 0.5
"""A spike is also more than this far above the median, in nats per token, even if the window has little noise."""
RECOVERY_STEPS = 50
RECOVERY_WINDOW = 10
RECOVERY_NATS = 0.1
PLATEAU_SHARE = 1 / 3
"""Share of training, at its end, that is tested for a plateau."""
PLATEAU_GAIN = 0.01
OVERFIT_RISE = 0.01

FLAG_RULES = {
    "spiked": (
        f"a train loss more than {SPIKE_NATS} nats and {SPIKE_DEVIATIONS:g} robust standard deviations above the "
        f"median of the {SPIKE_WINDOW} steps before; recovered when within {RECOVERY_STEPS} steps the mean of "
        f"{RECOVERY_WINDOW} steps is back within {RECOVERY_NATS} nats of that median"
    ),
    "plateaued": (
        f"over the last third of training the val loss fell by less than {PLATEAU_GAIN:.0%} of its value, at least "
        f"two evaluations there"
    ),
    "overfit": f"the last val loss is more than {OVERFIT_RISE:.0%} above its minimum at an earlier step",
}
"""Flag -> its rule in words. Val losses are measured on the fixed subset."""


def find_flags(records: Sequence[Record], *, ended: bool = True) -> dict[str, dict[str, Any]]:
    """The flags of a run, each with its numbers; empty if there are none.

    Args:
        records: the records of one run in the order of the log.
        ended: whether the run has ended. Only then can it be called plateaued or overfit.
    """
    losses = [record.train_loss for record in records if isinstance(record, StepRecord)]
    evals = [(r.step, r.val_loss) for r in records if isinstance(r, EvalRecord) and not r.whole]
    found = {
        "spiked": find_spike(losses),
        "plateaued": find_plateau(evals) if ended else None,
        "overfit": find_overfit(evals) if ended else None,
    }
    return {name: numbers for name, numbers in found.items() if numbers is not None}


def find_spike(losses: Sequence[float]) -> dict[str, Any] | None:
    """The first spike: its step (1-based), its loss, and whether the run recovered.

    Args:
        losses: train loss of steps 1, 2, ..., in nats per token.
    """
    for place in range(SPIKE_WINDOW, len(losses)):
        before = losses[place - SPIKE_WINDOW : place]
        normal = statistics.median(before)
        deviation = 1.4826 * statistics.median(abs(loss - normal) for loss in before)
        # `not <=` instead of `>`, so that NaN counts as a spike.
        if not losses[place] <= normal + max(SPIKE_NATS, SPIKE_DEVIATIONS * deviation):
            after = losses[place + 1 : place + 1 + RECOVERY_STEPS]
            means = [
                sum(after[first : first + RECOVERY_WINDOW]) / RECOVERY_WINDOW
                for first in range(len(after) - RECOVERY_WINDOW + 1)
            ]
            recovered = any(mean <= normal + RECOVERY_NATS for mean in means)
            return {"step": place + 1, "train_loss": losses[place], "median_before": normal, "recovered": recovered}
    return None


def find_plateau(evals: Sequence[tuple[int, float]]) -> dict[str, Any] | None:
    """The step from which on the val loss hardly fell, and by how many nats it still fell; None if it fell more.

    Args:
        evals: (step, val loss in nats per token), in order.
    """
    if len(evals) < 4:
        return None
    start_step = evals[-1][0] * (1 - PLATEAU_SHARE)
    earlier = [(step, loss) for step, loss in evals if step <= start_step]
    later = [loss for step, loss in evals if step > start_step]
    if not earlier or len(later) < 2:
        return None
    step, reference = earlier[-1]
    gain = reference - min(later)
    return {"step": step, "gain": gain} if gain < PLATEAU_GAIN * reference else None


def find_overfit(evals: Sequence[tuple[int, float]]) -> dict[str, Any] | None:
    """The step of the lowest val loss, and the rise since then in nats; None if there is no such rise.

    Args:
        evals: (step, val loss in nats per token), in order.
    """
    if len(evals) < 2:
        return None
    best_step, best = min(evals, key=lambda pair: pair[1])
    last_step, last = evals[-1]
    if last_step > best_step and last > best * (1 + OVERFIT_RISE):
        return {"best_step": best_step, "best_val_loss": best, "rise": last - best}
    return None


def describe_flags(flags: dict[str, dict[str, Any]]) -> str:
    """Flags in words: `spiked at step 150 (recovered), overfit from step 900`; empty if there are none.

    If a flag lacks the expected numbers, only the names are listed.
    """
    try:
        return _describe_numbers(flags)
    except (KeyError, TypeError, ValueError):
        return ", ".join(sorted(flags))


def _describe_numbers(flags: dict[str, dict[str, Any]]) -> str:
    parts = []
    if "spiked" in flags:
        after = "recovered" if flags["spiked"]["recovered"] else "not recovered"
        parts.append(f"spiked at step {flags['spiked']['step']:,} ({after})")
    if "plateaued" in flags:
        parts.append(f"plateaued from step {flags['plateaued']['step']:,}")
    if "overfit" in flags:
        parts.append(f"overfit from step {flags['overfit']['best_step']:,}")
    return ", ".join(parts)
