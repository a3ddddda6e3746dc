"""Flags: warnings about a run besides its outcome (spiked, overfit and so on). Every page shows their rules."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from gptexp.data.corpus import TINYSHAKESPEARE_SHA256
from gptexp.records import EvalRecord, EventRecord, Record, StepRecord

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
RISE_NATS = 0.1
"""How far a train loss lies above that of step 1, which the initial weights gave, to count as a rise. At rates at which
a model doesn't move in the first steps, batches of 768 tokens differ by up to 0.04."""
NOISE_STEPS = 20
"""Fewer steps say nothing about how much batches differ."""

OUTLIER_BATCH = "outlier-batch"
"""Name of the event of a step whose batch was made to be a spike."""
ROSE = "rose-above-start"
ABOVE_BIGRAM = "above-bigram"
LATER_FLAGS = (ROSE, ABOVE_BIGRAM)
"""Flags that results of older versions don't have, so that readers find them again."""
LEARNED_LITTLE = "learned less than a bigram model"
KNOWN_BIGRAM_LOSSES = {
    (TINYSHAKESPEARE_SHA256, "char"): 2.4857378288909726,
    (TINYSHAKESPEARE_SHA256, "gpt2"): 5.060066162321135,
}
"""(checksum of the corpus, tokenizer) -> what a bigram model reaches on the val split (nats per token): for records
that are older than the field `bigram_loss`. Source: `gptexp.data.baselines.count_baselines`, and a test compares."""

FLAG_RULES = {
    "spiked": (
        f"a train loss more than {SPIKE_NATS} nats and {SPIKE_DEVIATIONS:g} robust standard deviations above the "
        f"median of the {SPIKE_WINDOW} steps before; recovered when within {RECOVERY_STEPS} steps the mean of "
        f"{RECOVERY_WINDOW} steps is back within {RECOVERY_NATS} nats of that median"
    ),
    "plateaued": (
        f"over the last third of training no val loss was more than {PLATEAU_GAIN:.0%} away from the one before that "
        f"third, at least two evaluations there"
    ),
    "overfit": f"the last val loss is more than {OVERFIT_RISE:.0%} above its minimum at an earlier step",
    ROSE: (
        f"a train loss more than {RISE_NATS:g} nats, and more than {SPIKE_DEVIATIONS:g} robust standard deviations of "
        f"batch noise (of the differences between neighbouring steps), above that of step 1, at any later step: the "
        f"training went up before it went down"
    ),
    ABOVE_BIGRAM: (
        "the final val loss is above that of a bigram model, which predicts each token from the one before it by "
        "counting pairs in the train split (Witten-Bell smoothing): a failed training, even if every number is finite"
    ),
}
"""Flag -> its rule in words. Val losses are measured on the fixed subset."""


def find_flags(
    records: Sequence[Record], *, ended: bool = True, bigram_loss: float | None = None
) -> dict[str, dict[str, Any]]:
    """The flags of a run, each with its numbers; empty if there are none.

    Args:
        records: the records of one run in the order of the log.
        ended: whether the run has ended. Only then can it be called plateaued or overfit.
        bigram_loss: what a bigram model reaches on the val split, in nats per token; None where nobody knows.
    """
    losses = [record.train_loss for record in records if isinstance(record, StepRecord)]
    evals = [(r.step, r.val_loss) for r in records if isinstance(r, EvalRecord) and not r.whole]
    whole = [r.val_loss for r in records if isinstance(r, EvalRecord) and r.whole and r.step > 0]
    made = {record.step for record in records if isinstance(record, EventRecord) and record.name == OUTLIER_BATCH}
    ends = find_ends(evals) if ended else {}
    found = {
        "spiked": find_spike(losses),
        "plateaued": ends.get("plateaued"),
        "overfit": ends.get("overfit"),
        ROSE: find_rise(losses, made),
        ABOVE_BIGRAM: compare_with_bigram(whole[-1], bigram_loss) if whole else None,
    }
    return {name: numbers for name, numbers in found.items() if numbers is not None}


def drop_older(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags by the rules of today: older results also called a val loss that rises one that stands still."""
    return {name: numbers for name, numbers in flags.items() if name != "plateaued" or "overfit" not in flags}


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


def find_rise(losses: Sequence[float], made: Collection[int] = ()) -> dict[str, Any] | None:
    """The first step whose loss lies above that of step 1, and the highest loss; None if there is no such step.

    Args:
        losses: train loss of steps 1, 2, ..., in nats per token. What isn't finite is a divergence and no rise.
        made: steps whose batch was made to be a spike. Their loss is that of another text.
    """
    if not losses:
        return None
    limit = losses[0] + max(RISE_NATS, SPIKE_DEVIATIONS * estimate_batch_noise(losses))
    above = [
        place for place, loss in enumerate(losses) if math.isfinite(loss) and loss > limit and place + 1 not in made
    ]
    if not above:
        return None
    highest = max(above, key=lambda place: losses[place])
    return {
        "step": above[0] + 1,
        "highest_step": highest + 1,
        "train_loss": losses[highest],
        "first_train_loss": losses[0],
    }


def estimate_batch_noise(losses: Sequence[float]) -> float:
    """How much the loss differs from batch to batch: a robust standard deviation in nats per token, without the trend.

    Half the variance of a difference between neighbours is that of one of them, and the trend hardly moves in a step.
    The median is of the whole run, so that a few wild steps don't count. 0 under NOISE_STEPS finite steps.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(finite) < NOISE_STEPS:
        return 0.0
    return 1.4826 * statistics.median(abs(later - loss) for loss, later in pairwise(finite)) / math.sqrt(2)


def compare_with_bigram(final_val_loss: float | None, bigram_loss: float | None) -> dict[str, Any] | None:
    """Both losses (nats per token) where a training ended above the bigram model; None where it didn't, or where one
    isn't known.
    """
    if final_val_loss is None or bigram_loss is None or not final_val_loss > bigram_loss:
        return None
    return {"final_val_loss": final_val_loss, "bigram_loss": bigram_loss}


def find_ends(evals: Sequence[tuple[int, float]]) -> dict[str, dict[str, Any]]:
    """How the val loss of a run that has ended went: overfit, else plateaued; empty if neither.

    Args:
        evals: (step, val loss in nats per token), in order.
    """
    if overfit := find_overfit(evals):
        return {"overfit": overfit}
    return {"plateaued": plateau} if (plateau := find_plateau(evals)) else {}


def find_plateau(evals: Sequence[tuple[int, float]]) -> dict[str, Any] | None:
    """The step from which on the val loss hardly moved, and by how many nats it still fell; None if it moved more.

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
    if any(abs(loss - reference) >= PLATEAU_GAIN * reference for loss in later):
        return None
    return {"step": step, "gain": reference - min(later)}


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
    if ROSE in flags:
        rise = flags[ROSE]
        parts.append(
            f"rose above its first loss of {rise['first_train_loss']:.3f} from step {rise['step']:,} (highest "
            f"{rise['train_loss']:.3f} at step {rise['highest_step']:,})"
        )
    if ABOVE_BIGRAM in flags:
        ends = flags[ABOVE_BIGRAM]
        parts.append(
            f"{LEARNED_LITTLE}: ended at {ends['final_val_loss']:.3f} where that reaches {ends['bigram_loss']:.3f}"
        )
    return ", ".join(parts)
