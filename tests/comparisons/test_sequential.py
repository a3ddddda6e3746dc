"""Looking after every seed: the interval against the integral that it comes from, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from gptexp.comparisons.differences import FEWEST_PAIRS
from gptexp.comparisons.power import bound_deviation, count_seeds, find_power, simulate_seeds
from gptexp.comparisons.sequential import EFFECT_SCALE, estimate_always, half_width
from gptexp.comparisons.simulate import simulate_studies

MOST = 12


@pytest.mark.parametrize("n", [3, 5, 12])
def test_the_edge_of_the_interval_has_a_bayes_factor_of_20(n: int) -> None:
    """At the edge, noncentral t over a normal prior of effect sizes is 20 times as likely as central t, integrated."""
    t = float(half_width(n, 1.0)) * math.sqrt(n)

    def likelihood(effect: float) -> float:
        return float(stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) * stats.norm.pdf(effect, scale=EFFECT_SCALE))

    mixed, _ = integrate.quad(likelihood, -12 * EFFECT_SCALE, 12 * EFFECT_SCALE, points=[t / math.sqrt(n)], limit=400)
    assert mixed / stats.t.pdf(t, n - 1) == pytest.approx(20, rel=1e-4)


def test_two_seeds_and_one_bound_nothing() -> None:
    """Too few seeds have no interval; three have a wide one."""
    assert estimate_always([0.1]).high == math.inf
    assert estimate_always([0.1, 0.1001]).low == -math.inf
    three = estimate_always([0.1, 0.1001, 0.1002])
    assert three.low < three.mean < three.high < 0.11
    assert (three.decide(0.01), estimate_always([0.1]).decide(0.01)) == ("higher", "undecided")


def test_all_the_same_is_decided() -> None:
    """Seeds without any scatter: the interval is the mean itself."""
    assert estimate_always([-0.5] * 3).decide(0.1) == "lower"
    assert estimate_always([0.0] * 3).decide(0.1) == "closer"


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, math.inf]])
def test_only_finite_values(values: list[float]) -> None:
    """A diverged seed has to be counted, not averaged."""
    with pytest.raises(ValueError, match="finite"):
        estimate_always(values)


@pytest.mark.parametrize(("truth", "wrong"), [(0.0, ("lower", "higher")), (1.0, ("lower", "closer"))])
def test_at_most_five_percent_of_2000_studies_decide_wrongly(truth: float, wrong: tuple[str, ...]) -> None:
    """Whoever looks after every seed from the third on and stops at the first decision is wrong in at most 5%.

    A Student interval that is looked at as often is wrong more often: that is the fault this one mends.
    """
    rng = np.random.default_rng(7)
    studies = rng.normal(truth, 1.0, (2000, MOST))
    mistakes = sum(decide_first(list(values)) in wrong for values in studies)
    assert mistakes <= 0.05 * len(studies)
    peeks = rng.normal(0.0, 1.0, (2000, MOST))
    looks = [stats.ttest_1samp(peeks[:, :n], 0.0, axis=1).pvalue < 0.05 for n in range(3, MOST + 1)]
    assert np.any(looks, axis=0).sum() > 0.1 * 2000


def decide_first(values: list[float]) -> str:
    for n in range(3, len(values) + 1):
        word = estimate_always(values[:n]).decide(1.0)
        if word != "undecided":
            return word
    return "undecided"


@pytest.mark.parametrize("deviation", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("truth", [0.0, 1.0, 3.0])
def test_at_most_five_percent_of_2000_studies_of_three_arms_are_wrong(deviation: float, truth: float) -> None:
    """In any of their comparisons, which share a baseline, at any look; one of the asked size is no small one."""
    found = simulate_studies(np.full(3, truth), deviation, 1.0, MOST)
    assert found.wrong <= 0.05
    assert FEWEST_PAIRS <= found.mean_seeds <= MOST


def test_seeds_for_a_difference_of_one_deviation() -> None:
    """Ten pairs: Cohen's table of a paired t-test at 5% and 80% (d = 1.0)."""
    assert count_seeds(1.0, 1.0) == 10
    assert count_seeds(1.0, 0.5) == 34
    assert count_seeds(0.0, 0.1) == 3
    assert count_seeds(1.0, 1e-6) is None


def test_power_against_simulation() -> None:
    """The share of t-tests on 8 pairs that find a shift of 1.2 deviations."""
    rng = np.random.default_rng(3)
    found = (stats.ttest_1samp(rng.normal(1.2, 1.0, (20_000, 8)), 0.0, axis=1).pvalue < 0.05).mean()
    assert find_power(8, 1.2 * math.sqrt(8)) == pytest.approx(found, abs=0.01)


def test_a_bound_of_the_deviation_holds_as_often_as_it_says() -> None:
    """In 80% of samples of four the true deviation is at most the bound."""
    rng = np.random.default_rng(5)
    held = np.mean([bound_deviation(list(rng.normal(0, 1, 4))) >= 1 for _ in range(4000)])
    assert held == pytest.approx(0.8, abs=0.02)


def test_simulated_seeds_are_those_of_the_loop() -> None:
    """The mean over whole studies at once is what a loop over seeds gives."""
    rng = np.random.default_rng(0)
    values = rng.normal(1.0, 0.5, (400, 4 * count_or_fail(0.5, 1.0) + 9))
    counts = []
    for row in values:
        counts.append(
            next(n for n in range(3, row.size + 1) if estimate_always(list(row[:n])).decide(1.0) != "undecided")
        )
    assert simulate_seeds(0.5, 1.0) == pytest.approx(np.mean(counts))


def count_or_fail(deviation: float, detect: float) -> int:
    found = count_seeds(deviation, detect)
    assert found is not None
    return found
