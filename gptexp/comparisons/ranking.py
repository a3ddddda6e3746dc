"""Ranks points that were each tried with several paired seeds, and says which can't be told from the best."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gptexp.comparisons.stats import CONFIDENCE, FEWEST_PAIRS, estimate_mean

AMONG_THE_BEST, WORSE, NOT_COMPARED = "not told from the best", "worse than the best", "not compared"


@dataclass(frozen=True)
class RankedPoint:
    """A point and its seeds."""

    point: Hashable
    values: Mapping[int, float]
    """Seed -> metric."""
    mean: float
    low: float | None
    """Of Student's interval of the mean over seeds; None with one seed."""
    high: float | None
    lost: int
    """Seeds without a value: diverged, failed or stopped early."""
    word: str
    """best, not told from the best, worse than the best, or not compared (seeds are missing)."""


def rank_points(
    points: Mapping[Hashable, Mapping[int, float]], lost: Mapping[Hashable, int], *, minimize: bool = True
) -> list[RankedPoint]:
    """The points, best mean first; those that lack a seed of another point behind the others, those with no value last.

    Which points are worse than the best is told by Tukey's test of all pairs: the best is chosen by the same numbers,
    so that holding the others against it alone would call too many of them worse. Paired seeds are blocks, and all
    compared points count as scattering alike. With 95% confidence no point is called worse wrongly.

    Args:
        points: point -> seed -> metric, finite.
        lost: point -> seeds that it lost.

    Source: Tukey 1953, "The problem of multiple comparisons"; in randomized blocks, Scheffe 1959, "The analysis of
    variance", sections 3.6 and 4.2.
    """
    sign = 1 if minimize else -1
    means = {point: sum(values.values()) / len(values) for point, values in points.items() if values}
    seeds = {seed for values in points.values() for seed in values}
    lacking = {point for point, values in points.items() if lost.get(point) or seeds - values.keys()}
    order = sorted(points, key=lambda point: (point not in means, point in lacking, sign * means.get(point, math.inf)))
    whole = [point for point in order if point not in lacking and point in means]
    far = find_least_difference([points[point] for point in whole])
    ranked = []
    for point in order:
        values = points[point]
        if point not in means:
            ranked.append(RankedPoint(point, values, math.nan, None, None, lost.get(point, 0), NOT_COMPARED))
            continue
        interval = estimate_mean(list(values.values()))
        word = NOT_COMPARED
        if point == order[0]:
            word = "best"
        elif point in whole and far is not None:
            word = WORSE if sign * (means[point] - means[whole[0]]) > far else AMONG_THE_BEST
        ranked.append(RankedPoint(point, values, interval.mean, interval.low, interval.high, lost.get(point, 0), word))
    return ranked


def find_least_difference(points: Sequence[Mapping[int, float]]) -> float | None:
    """The difference of two means beyond which Tukey's test tells any two points apart; None with too few seeds.

    Only points with the same seeds can be compared so.
    """
    seeds = sorted(points[0]) if points else []
    if len(points) < 2 or len(seeds) < FEWEST_PAIRS or any(sorted(point) != seeds for point in points):
        return None
    table = np.array([[point[seed] for seed in seeds] for point in points])
    k, n = table.shape
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    freedom = (k - 1) * (n - 1)
    deviation = math.sqrt(float((rest**2).sum()) / freedom)
    return find_critical_range(k, freedom) * deviation / math.sqrt(n)


@functools.cache
def find_critical_range(k: int, freedom: int) -> float:
    """The studentized range of `k` equal means that is exceeded in 5%."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(CONFIDENCE, k, freedom))
