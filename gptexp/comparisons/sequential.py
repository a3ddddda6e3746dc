"""Paired seeds looked at one after the other: an interval that holds however often one looks.

A Student interval holds for a number of seeds that was fixed before. Whoever adds seeds until it leaves out 0 is wrong
far more often than 5%. The intervals here hold at all numbers of seeds at once, so that one may look after every seed
and stop when one likes; they are wider for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gptexp.comparisons.stats import CONFIDENCE

Floats = npt.NDArray[np.float64]
EFFECT_SCALE = 3.0
"""The size of effects, in standard deviations of a paired difference, at which the interval is narrowest. Arms of a
study usually differ by several standard deviations, since paired seeds share weights and batches. Any value gives an
interval that holds."""


@dataclass(frozen=True)
class Sequential:
    """A mean difference, and what it may be at any number of seeds."""

    mean: float
    low: float
    """Minus infinity while the seeds are too few to bound it."""
    high: float
    n: int

    def decide(self, detect: float) -> str:
        """`lower`, `higher`, `closer` (than `detect`, in the unit of the values), or `undecided`."""
        if self.low > 0 or self.high < 0:
            return "higher" if self.low > 0 else "lower"
        return "closer" if -detect < self.low and self.high < detect else "undecided"


def estimate_always(values: Sequence[float], confidence: float = CONFIDENCE) -> Sequential:
    """The mean of paired differences with an interval that covers the truth at all numbers of seeds at once.

    The values count as normal with unknown variance. With probability `confidence` the true mean lies in the intervals
    of all n together.

    Args:
        values: one for each seed in the order in which they came, finite, at least one.

    Raises:
        ValueError: no values, or one that is not finite.

    Source: the mixture of normal effect sizes over Student's t, Lai 1976 with a proper prior; Wang and Ramdas, arXiv
    2310.03722, section 4 (a test martingale of the scale-invariant filtration, inverted). With u = t²/(n-1) and
    r = 1 + n·EFFECT_SCALE², its value is r^(-1/2) · ((1 + u) / (1 + u/r))^(n/2); the interval holds all means at which
    that is under 1 / (1 - confidence).
    """
    numbers = np.asarray(values, dtype=np.float64)
    n = numbers.size
    if n == 0 or not np.isfinite(numbers).all():
        raise ValueError("expected finite values, at least one")
    half = math.inf if n == 1 else float(half_width(n, numbers.std(ddof=1), confidence))
    return Sequential(float(numbers.mean()), float(numbers.mean()) - half, float(numbers.mean()) + half, n)


def half_width(n: npt.ArrayLike, deviation: npt.ArrayLike, confidence: float = CONFIDENCE) -> Floats:
    """Half the width of the interval of `estimate_always`; infinite where so few seeds bound nothing.

    Args:
        n: numbers of seeds, at least 2.
        deviation: standard deviations of that many differences; both broadcast against each other.
    """
    n = np.asarray(n, dtype=np.float64)
    r = 1 + n * EFFECT_SCALE**2
    ratio = np.exp(2 / n * (0.5 * np.log(r) - math.log(1 - confidence)))
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.where(ratio < r, (ratio - 1) / (1 - ratio / r), math.inf)
        half: Floats = np.sqrt(u * (n - 1) / n) * np.asarray(deviation, dtype=np.float64)
    return half
