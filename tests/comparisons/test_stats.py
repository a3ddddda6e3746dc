"""Statistics over seeds, against hand-computed cases, SciPy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gptexp.comparisons.stats import (
    adjust_by_holm,
    area_under_curve,
    compare_paired,
    estimate_mean,
    lr_sensitivity,
    sign_flip_p_value,
    steps_to_reach,
)
from tests.runs.ends import TABLE_DIGITS, T


def test_a_mean_by_hand() -> None:
    """1, 2, 3: mean 2, deviation 1, t(0.975, 2) = 4.302653 in a printed table, so 2 ± 2.484 to its last digit."""
    found = estimate_mean([1.0, 2.0, 3.0])
    assert (found.mean, found.n) == (2.0, 3)
    assert found.low == pytest.approx(2 - T[3] / math.sqrt(3), abs=TABLE_DIGITS)
    assert found.high == pytest.approx(2 + T[3] / math.sqrt(3), abs=TABLE_DIGITS)


def test_one_seed_is_a_direction_without_an_interval() -> None:
    """With n = 1 there is a mean and nothing that looks like certainty."""
    found = estimate_mean([2.5])
    assert (found.mean, found.low, found.high) == (2.5, None, None)
    difference = compare_paired({1: 2.0}, {1: 2.5})
    assert difference is not None
    assert difference.interval.mean == -0.5
    assert (difference.p_value, difference.smallest_detectable) == (None, None)


def test_paired_difference_against_scipy() -> None:
    """Mean, interval and t agree with scipy.stats.ttest_rel over the shared seeds; other seeds don't count."""
    one = {1: 2.10, 2: 2.31, 3: 2.05, 4: 2.22, 9: 99.0}
    other = {1: 2.00, 2: 2.18, 3: 2.01, 4: 2.09, 8: -99.0}
    found = compare_paired(one, other)
    reference = stats.ttest_rel([one[k] for k in (1, 2, 3, 4)], [other[k] for k in (1, 2, 3, 4)])
    low, high = reference.confidence_interval()
    assert found is not None
    assert found.interval.mean == pytest.approx(0.1)
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p_value == 2 / 2**4
    assert found.smallest_p == 2 / 2**4
    assert compare_paired({1: 1.0}, {2: 1.0}) is None


def test_sign_flips_by_hand_and_against_scipy() -> None:
    """All of one sign: 2 of 2^n patterns. Mixed signs agree with SciPy's exact permutation test."""
    assert sign_flip_p_value([0.1, 0.2, 0.3]) == 0.25
    assert sign_flip_p_value([0.1, -0.1]) == 1.0
    values = [0.3, -0.1, 0.25, 0.4, -0.05, 0.2]
    reference = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p_value(values) == pytest.approx(reference.pvalue)


def test_random_sign_flips_against_scipy() -> None:
    """Beyond 14 pairs random patterns agree with SciPy's Monte Carlo test, and no p-value is zero.

    A share of 100,000 patterns deviates by 0.0016 at most, the difference of two by 0.0022: 0.01 is four times that.
    """
    for mean in (0.0, 0.03, 0.05):
        many = np.random.default_rng(1).normal(mean, 0.1, 20)
        signs = np.random.default_rng(2)
        reference = stats.monte_carlo_test(
            many, lambda size, many=many, signs=signs: signs.choice((1, -1), size) * many, np.sum, n_resamples=100_000
        )
        assert sign_flip_p_value(list(many)) == pytest.approx(reference.pvalue, abs=0.01)
    assert sign_flip_p_value([1.0] * 40) == 1 / 100_001


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_hold_what_they_say(n: int) -> None:
    """95% intervals over normal seeds hold the truth in 93 to 97 of 100 cases."""
    generator = np.random.default_rng(n)
    held = 0
    for _ in range(4000):
        found = estimate_mean(list(generator.normal(2.0, 0.05, n)))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 2.0 <= found.high
    assert 0.93 <= held / 4000 <= 0.97


def alternating(n: int) -> dict[int, float]:
    """Differences of n seeds around 0.4 whose deviation is 1."""
    values = np.resize([1.0, -1.0], n)
    return dict(enumerate(0.4 + (values - values.mean()) / values.std(ddof=1)))


@pytest.mark.parametrize(("n", "standard_errors"), [(3, 5.653), (5, 3.761), (10, 3.150), (100, 2.829)])
def test_the_detectable_difference_by_the_noncentral_t(n: int, standard_errors: float) -> None:
    """So many standard errors, to half of the last digit: from there SciPy's noncentral t has a power of 0.8.

    With many seeds it is what tables for the normal distribution have, 1.960 + 0.842 = 2.802.
    """
    found = compare_paired(alternating(n), dict.fromkeys(range(n), 0.0))
    assert found is not None
    assert found.smallest_detectable is not None
    away = found.smallest_detectable * math.sqrt(n)
    assert away == pytest.approx(standard_errors, abs=0.5e-3)
    assert stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, away) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_detectable_difference_is_detected(n: int) -> None:
    """Seeds that truly differ by the announced size, at the deviation that was seen, have an interval without 0 in
    80% of cases; a share of 4,000 deviates by 0.6%, and three times that is allowed.
    """
    announced = compare_paired(alternating(n), dict.fromkeys(range(n), 0.0))
    assert announced is not None
    assert announced.smallest_detectable is not None
    generator = np.random.default_rng(n)
    found = 0
    for _ in range(4000):
        interval = estimate_mean(list(generator.normal(announced.smallest_detectable, 1.0, n)))
        assert interval.low is not None
        found += interval.low > 0
    assert found / 4000 == pytest.approx(0.8, abs=0.019)


def test_two_pairs_could_have_shown_nothing() -> None:
    """They are never told apart, so that no difference could have been found."""
    found = compare_paired(alternating(2), dict.fromkeys(range(2), 0.0))
    assert found is not None
    assert found.smallest_detectable is None


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_t_test_against_scipy(n: int) -> None:
    """Two-sided, on the differences; all alike and not 0 is certain, all 0 says nothing."""
    values = list(alternating(n).values())
    found = compare_paired(alternating(n), dict.fromkeys(range(n), 0.0))
    assert found is not None
    assert found.t_p_value == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)
    alike = [compare_paired({1: one, 2: one}, {1: 0.0, 2: 0.0}) for one in (0.5, 0.0)]
    assert [paired and paired.t_p_value for paired in alike] == [0.0, 1.0]


def test_holm_by_hand() -> None:
    """The least of three times 3, the next times 2, the largest as it is, none smaller than one before it, none over 1;
    each is in its own place.
    """
    assert adjust_by_holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert adjust_by_holm([0.5, 0.9]) == [1.0, 1.0]
    assert adjust_by_holm([0.05]) == [0.05]
    assert adjust_by_holm([]) == []


def test_holm_keeps_the_rate_of_mistakes() -> None:
    """Of 2,000 families of ten true zeros at most 6.5% (5% and three standard errors) have one with p <= 0.05 by Holm;
    without it two fifths have.
    """
    p_values = np.random.default_rng(0).uniform(size=(2000, 10))
    assert np.mean([min(adjust_by_holm(list(family))) <= 0.05 for family in p_values]) <= 0.065
    assert (p_values.min(axis=1) <= 0.05).mean() > 0.35


def test_curves() -> None:
    """A line from 4 to 2 has mean 3; the first step at or under a target counts, and never is None."""
    assert area_under_curve([0, 50, 100], [4.0, 3.0, 2.0]) == 3.0
    assert steps_to_reach([0, 50, 100], [4.0, 3.0, 2.0], 3.0) == 50
    assert steps_to_reach([0, 50, 100], [4.0, 3.0, 2.0], 1.0) is None


def test_lr_sensitivity_by_hand() -> None:
    """Losses 3, 2 and a divergence from 10: (3 + 2 + 10)/3 - 2 = 3."""
    assert lr_sensitivity({1e-4: 3.0, 1e-3: 2.0, 1e-2: math.nan}, 10.0) == pytest.approx(3.0)


def test_diverged_seeds_are_never_averaged() -> None:
    """NaN and infinity are refused, as is nothing at all."""
    for values in ([1.0, math.nan], [math.inf], []):
        with pytest.raises(ValueError, match=r"finite|no values"):
            estimate_mean(values)
