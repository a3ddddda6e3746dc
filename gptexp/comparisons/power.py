"""How many seeds a comparison takes, from how much its paired differences scatter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, nctdtr, stdtrit

from gptexp.comparisons.differences import find_differences, read_losses
from gptexp.comparisons.sequential import half_width
from gptexp.comparisons.stats import CONFIDENCE, FEWEST_PAIRS, POWER, subtract_paired
from gptexp.runs.study_runs import StudyRuns

MOST_SEEDS_ASKED = 1000
"""More seeds than this are not counted: the effect is too small for a study of this kind."""
BOUND = 0.8
"""Confidence of the upper bound of a standard deviation that few pairs give."""
SIMULATED = 400
"""Studies that are simulated for the mean number of seeds of `--until-decided`: its standard error is a few percent."""


@dataclass(frozen=True)
class Power:
    """What it takes to see a difference between two arms."""

    what: str
    against: str
    n_pairs: int
    """Pairs that the standard deviation comes from."""
    deviation: float
    """Standard deviation of the paired differences, nats per token."""
    seeds: int | None
    """Seeds with which a difference of the asked size is found with `POWER`; None for more than the most."""
    seeds_at_bound: int | None
    """The same where the standard deviation is as large as its upper bound."""
    seeds_until_decided: float | None
    """Mean seeds of a study that looks after every seed, where the difference is of the asked size."""


def plan_seeds(study: StudyRuns, detect: float) -> list[Power]:
    """What each comparison of a study with its reference takes, for those with at least two paired seeds.

    Args:
        detect: the difference to be seen, nats per token, over 0.
    """
    losses = {arm.name: read_losses(arm) for arm in study.arms}
    found = []
    for difference in find_differences(study):
        if difference.kind != "arm":
            continue
        one, other = (losses[name] for name in difference.arms)
        pairs = subtract_paired(one, other)
        if len(pairs) >= 2:
            deviation = float(np.std(pairs, ddof=1))
            found.append(
                Power(
                    difference.what,
                    difference.against,
                    len(pairs),
                    deviation,
                    count_seeds(deviation, detect),
                    count_seeds(bound_deviation(pairs), detect),
                    simulate_seeds(deviation, detect),
                )
            )
    return found


def count_seeds(deviation: float, detect: float) -> int | None:
    """The fewest seeds with which a two-sided paired t-test at 5% finds `detect` with 80% chance; None over the most.

    Args:
        deviation: standard deviation of a paired difference, in the unit of `detect`.

    Source: power of the noncentral t-test, Cohen 1988, "Statistical power analysis for the behavioral sciences", ch. 2.
    """
    for n in range(FEWEST_PAIRS, MOST_SEEDS_ASKED + 1):
        shift = math.inf if deviation == 0 else detect / deviation * math.sqrt(n)
        if shift > 1e3 or find_power(n, shift) >= POWER:
            return n
    return None


def find_power(n: int, shift: float) -> float:
    """The chance that a t-test on `n` pairs leaves out 0 where the truth lies `shift` standard errors from it."""
    critical = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    return float(1 - nctdtr(n - 1, shift, critical) + nctdtr(n - 1, shift, -critical))


def bound_deviation(differences: Sequence[float]) -> float:
    """The standard deviation that a normal population has at most, with confidence `BOUND`.

    Source: the chi-squared interval of a variance.
    """
    n = len(differences)
    return float(np.std(differences, ddof=1)) * math.sqrt((n - 1) / float(chdtri(n - 1, BOUND)))


def simulate_seeds(deviation: float, detect: float) -> float | None:
    """Mean seeds until `gptexp.comparisons.sequential` decides, where `detect` is the truth; None over the most.

    By simulation, with a fixed seed.
    """
    if deviation == 0:
        return float(FEWEST_PAIRS)
    most = count_seeds(deviation, detect)
    if most is None:
        return None
    n = np.arange(1, 4 * most + 10)
    values = np.random.default_rng(0).normal(detect, deviation, (SIMULATED, n.size))
    means = values.cumsum(axis=1) / n
    squares = (values**2).cumsum(axis=1) - n * means**2
    half = half_width(n[1:], np.sqrt(np.maximum(squares[:, 1:], 0) / (n[1:] - 1)))
    low, high = means[:, 1:] - half, means[:, 1:] + half
    decided = (low > 0) | (high < 0) | ((low > -detect) & (high < detect))
    decided[:, : FEWEST_PAIRS - 2] = False
    decided[:, -1] = True
    return float(n[1:][decided.argmax(axis=1)].mean())
