"""Small-sample statistics over seeds: pure functions of numbers.

Seeds are paired: seed k gives every arm the same initial weights and the same batches, so two arms are compared by the
differences of their seeds, which scatter less than the arms themselves.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtrinc, stdtr, stdtrit

from gptexp.studies.checks import FEWEST_SEEDS

CONFIDENCE = 0.95
EXACT_LIMIT = 14
"""Pairs up to which all 2^n signs are counted; beyond, random ones."""
PATTERN_BATCHES = 10
PATTERNS_AT_ONCE = 10_000
FEWEST_PAIRS = FEWEST_SEEDS
"""From so many on the sides of a difference may be told apart, and it is said what could have been."""
POWER = 0.8
"""Chance with which the smallest detectable difference would have been found."""


@dataclass(frozen=True)
class Interval:
    """A mean and what it may be."""

    mean: float
    low: float | None
    """None with one value: a direction and no interval."""
    high: float | None
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """How much one arm ends above another, seed by seed."""

    interval: Interval
    p_value: float | None
    """Two-sided sign-flip permutation test; None with one pair."""
    smallest_p: float | None
    """The smallest p-value that this many pairs can give: 2 / 2^n. Above 0.05 no difference could have shown."""
    smallest_detectable: float | None
    """The true difference that a t-test on pairs that scatter like these finds with 80% chance; None under
    `FEWEST_PAIRS`, whose scatter says next to nothing."""
    t_p_value: float | None = None
    """Two-sided paired t-test: at most 0.05 where the interval leaves out 0; None with one pair."""


def estimate_mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean with Student's t interval.

    Args:
        values: finite, at least one.

    Raises:
        ValueError: no values, or one that is not finite (count diverged seeds, don't average them).

    Source: Student 1908, "The probable error of a mean".
    """
    _check_finite(values)
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return Interval(mean, None, None, 1)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def compare_paired(one: Mapping[int, float], other: Mapping[int, float]) -> PairedDifference | None:
    """`one` minus `other` over the seeds that both have; None when they share none.

    Args:
        one: seed -> value, finite values only.
        other: likewise.

    Raises:
        ValueError: a value is not finite.

    Source: paired permutation test, Fisher 1935, "The design of experiments", section 21.
    """
    differences = subtract_paired(one, other)
    if not differences:
        return None
    interval = estimate_mean(differences)
    n = len(differences)
    if n == 1:
        return PairedDifference(interval, None, None, None)
    error = float(np.std(differences, ddof=1)) / math.sqrt(n)
    # How many standard errors from 0 the truth must lie for t to leave out 0 with that chance: then t is noncentral.
    # (By symmetry the other tail counts as well; at this power its share is under 1e-6.)
    errors = float(nctdtrinc(n - 1, 1 - POWER, stdtrit(n - 1, (1 + CONFIDENCE) / 2)))
    detectable = errors * error if n >= FEWEST_PAIRS else None
    t_p_value = 2 * float(stdtr(n - 1, -abs(interval.mean) / error)) if error else float(interval.mean == 0)
    return PairedDifference(interval, sign_flip_p_value(differences), 2.0 ** (1 - n), detectable, t_p_value)


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value so that comparing it with 0.05 makes a mistake among all of them in at most 5% of cases.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def subtract_paired(one: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    """`one` minus `other` for each seed that both have, by seed."""
    return [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Two-sided p-value of mean difference 0: the share of sign patterns with a sum at least as extreme.

    Exact up to 14 pairs. Beyond, of the observed pattern and 100,000 random ones.

    Source: Phipson and Smyth 2010, "Permutation p-values should never be zero".
    """
    return _sign_flip_p_value(tuple(float(value) for value in differences))


# A report asks for the same pair of arms in several places.
@functools.lru_cache(maxsize=1000)
def _sign_flip_p_value(differences: tuple[float, ...]) -> float:
    values = np.asarray(differences, dtype=np.float64)
    # Sums of the same numbers in another order differ in their last bits: those count as equal.
    least = abs(values.sum()) - 1e-9 * np.abs(values).sum()
    if len(values) <= EXACT_LIMIT:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(values))))
        return float(np.mean(np.abs(signs @ values) >= least))
    # scipy.stats.monte_carlo_test, which takes a second to import, doubles the smaller tail: the same but for chance.
    rng = np.random.default_rng(0)
    flipped = (rng.choice((1.0, -1.0), (PATTERNS_AT_ONCE, len(values))) @ values for _ in range(PATTERN_BATCHES))
    extreme = sum(int((np.abs(sums) >= least).sum()) for sums in flipped)
    return (extreme + 1) / (PATTERN_BATCHES * PATTERNS_AT_ONCE + 1)


def area_under_curve(steps: Sequence[float], losses: Sequence[float]) -> float:
    """Mean loss over training by the trapezoid rule, in nats per token: a run that learns early has a lower one.

    Args:
        steps: increasing, at least two.
        losses: of the same length, finite.
    """
    _check_finite(losses)
    span = steps[-1] - steps[0]
    return float(np.trapezoid(losses, steps)) / span


def steps_to_reach(steps: Sequence[int], losses: Sequence[float], target: float) -> int | None:
    """The first step at which the loss is at or under `target`, or None when it never is."""
    return next((step for step, loss in zip(steps, losses, strict=True) if loss <= target), None)


def lr_sensitivity(final_losses: Mapping[float, float], initial_loss: float, best: float | None = None) -> float:
    """How much a wrong learning rate costs: the mean over rates of min(loss, initial loss) minus the best loss.

    Args:
        final_losses: learning rate -> final loss in nats per token; a diverged run is NaN or infinite.
        best: the loss that the rates are held against; None takes the lowest of these, as the source does.

    Source: Wortsman et al., arXiv 2309.14322, section 2.2 (the equation has no number): the mean over rates η of [a, b]
    of min(ℓ(A(η)), ℓ₀) − ℓ*, where ℓ* is the lowest ℓ(A(η)) of that range. There rates are spaced evenly in their
    logarithms, from 3e-4 to 3e-1; the number depends on the range, so whoever shows it shows the range.
    """
    capped = cap_losses(final_losses, initial_loss)
    return float(np.mean(capped) - (min(capped) if best is None else best))


def cap_losses(final_losses: Mapping[float, float], initial_loss: float) -> list[float]:
    """min(loss, initial loss) of each rate; the initial loss for one that isn't finite."""
    return [loss if loss <= initial_loss else initial_loss for loss in final_losses.values()]


def _check_finite(values: Sequence[float]) -> None:
    if not values:
        raise ValueError("no values")
    if not np.isfinite(np.asarray(values, dtype=np.float64)).all():
        raise ValueError("a value is not finite: count diverged seeds instead of averaging them")
