"""Points of several seeds: the ranking, and which can't be told from the best."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import tukey_hsd

from gptexp.comparisons.ranking import AMONG_THE_BEST, NOT_COMPARED, WORSE, find_least_difference, rank_points


def test_ten_points_that_are_the_same_are_rarely_called_worse() -> None:
    """Over 2,000 sweeps, in 5% any point."""
    rng = np.random.default_rng(2)
    # Seeds are shared: what all points of a seed have in common doesn't count.
    values = rng.normal(0, 1, (2000, 10, 3)) + rng.normal(0, 5, (2000, 1, 3))
    wrong = 0
    for sweep in values:
        points: dict[Any, dict[int, float]] = {k: dict(enumerate(map(float, row))) for k, row in enumerate(sweep)}
        far = find_least_difference(list(points.values()))
        assert far is not None
        means = sweep.mean(axis=1)
        wrong += bool(means.max() - means.min() > far)
    assert wrong == pytest.approx(0.05 * 2000, abs=4 * (0.05 * 0.95 * 2000) ** 0.5)


def test_it_is_tukeys_test() -> None:
    """Where seeds have nothing in common, block by block and without blocks come to nearly the same difference."""
    rng = np.random.default_rng(4)
    table = rng.normal(0, 1, (4, 60))
    far = find_least_difference([dict(enumerate(map(float, row))) for row in table])
    interval = tukey_hsd(*table).confidence_interval()
    assert far == pytest.approx(float((interval.high - interval.low)[0, 1]) / 2, rel=0.05)


def test_the_ranking_says_what_it_can_tell() -> None:
    """Near points are among the best, a far one is worse, and one that lost a seed is behind them and not compared."""
    points: dict[Any, dict[int, float]] = {
        "far": {1: 3.0, 2: 3.1, 3: 3.2},
        "near": {1: 2.01, 2: 2.10, 3: 2.21},
        "best": {1: 2.0, 2: 2.1, 3: 2.2},
        "lost": {1: 1.0, 2: 1.1},
        "none": {},
    }
    ranked = rank_points(points, {"lost": 1, "none": 3})
    assert [one.point for one in ranked] == ["best", "near", "far", "lost", "none"]
    assert [one.word for one in ranked] == ["best", AMONG_THE_BEST, WORSE, NOT_COMPARED, NOT_COMPARED]
    assert math.isnan(ranked[-1].mean)
    assert ranked[0].low is not None
    assert ranked[0].low < 2.1 < (ranked[0].high or 0)
    assert rank_points({"a": {1: 1.0}, "b": {1: 2.0}}, {}, minimize=False)[0].point == "b"


def test_too_few_seeds_tell_nothing_apart() -> None:
    """Two seeds, or different ones."""
    assert find_least_difference([{1: 1.0, 2: 1.1}, {1: 2.0, 2: 2.1}]) is None
    assert find_least_difference([{1: 1.0, 2: 1.1, 3: 1.2}, {1: 2.0, 2: 2.1, 4: 2.2}]) is None
    assert rank_points({"a": {1: 1.0}, "b": {1: 9.0}}, {})[1].word == NOT_COMPARED
