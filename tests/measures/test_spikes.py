"""Spikes of the gradient norm, by the published rule."""

from __future__ import annotations

import math

import pytest

from gptexp.comparisons.read import read_quantity
from gptexp.measures.spikes import Spike, find_spikes
from tests.runs.made import make_study, run, steps


def test_a_spike_is_more_than_four_times_the_running_median() -> None:
    """Four times is none; the median is of the steps before, not of all."""
    assert find_spikes([1.0, 1.0, 1.0, 1.0, 4.0]) == []
    assert find_spikes([1.0, 1.0, 1.0, 1.0, 4.25]) == [Spike(5, 4.25, 1.0)]
    # Norms that have grown for long are usual, however large they once would have been.
    assert find_spikes([*[1.0] * 30, *[3.0] * 30, 10.0]) == []


def test_the_first_steps_have_too_few_before_them() -> None:
    """Four steps say what is usual; the first norm of a run, the largest of many, is no spike."""
    assert find_spikes([30.0, 1.0, 1.0, 1.0, 1.0]) == []
    assert find_spikes([1.0, 1.0, 1.0, 9.0, 1.0]) == []
    assert [spike.step for spike in find_spikes([1.0, 1.0, 1.0, 1.0, 9.0])] == [5]


def test_what_is_not_finite_or_was_made_is_no_spike() -> None:
    """And a norm that is no number is no part of a median."""
    norms = [1.0, math.nan, 1.0, 1.0, 1.0, math.inf, 9.0, 8.0]
    assert [spike.step for spike in find_spikes(norms)] == [7, 8]
    assert [spike.step for spike in find_spikes(norms, apart_from={7})] == [8]


@pytest.mark.parametrize(("norms", "largest"), [([1.0] * 5 + [9.0, 1.0, 7.0], 9.0), ([2.0] * 8, 0.0)])
def test_the_largest_spike_of_a_run(norms: list[float], largest: float) -> None:
    """Zero where there is none: a run without a spike speaks, too."""
    found = read_quantity(
        make_study({"a": [run(max_steps=8, last_step=8)]}, steps([4.0] * 8, norms)), "a:largest_spike"
    )
    assert found is not None
    assert found.values == {1: largest}
