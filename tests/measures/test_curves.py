"""Pure helpers on curves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gptexp.measures.curves import (
    centred_mean,
    choose_smoothing_window,
    choose_steps,
    count_epochs,
    expect_initial_loss,
    find_nearest,
    perplexity,
    pick_evenly,
    pick_points,
    thin_curve,
    trailing_mean,
    train_loss_at,
)


def test_trailing_mean_is_the_mean_of_the_last_values() -> None:
    """Each mean covers the value and those before it, as many as there are, and NaN spreads only that far."""
    assert trailing_mean([1.0, 2.0, 3.0, 4.0], 2).tolist() == [1.0, 1.5, 2.5, 3.5]
    spread = trailing_mean([1.0, math.nan, 3.0, 5.0], 2)
    assert np.isnan(spread).tolist() == [False, True, True, False]
    assert trailing_mean([], 3).size == 0
    assert np.isnan(trailing_mean([math.inf], 3)).all()


def test_centred_mean_does_not_lag() -> None:
    """A straight line stays where it is, except at its very end; a NaN stays one NaN."""
    line = np.arange(20.0)
    assert centred_mean(line, 5)[:-2].tolist() == line[:-2].tolist()
    assert np.isnan(centred_mean([1.0, math.nan, 3.0], 3)).tolist() == [False, True, False]


def test_thinning_keeps_spikes() -> None:
    """A curve of 10,000 points keeps its highest and lowest point, its ends, and about as many as asked for."""
    y = np.zeros(10_000)
    y[1234], y[777] = 9.0, -9.0
    x, thin = thin_curve(np.arange(10_000.0), y, 200)
    assert thin.max() == 9.0
    assert thin.min() == -9.0
    assert (x[0], x[-1]) == (0, 9_999)
    assert len(x) <= 202


def test_picked_points_are_the_extremes_of_every_stretch() -> None:
    """The lowest and the highest of each stretch, the first of equals, as searched one stretch after the other."""
    y = np.random.default_rng(0).integers(0, 9, 1003).astype(float)
    y[[0, 5, 700]] = np.nan
    finite = np.flatnonzero(np.isfinite(y))
    expected = {finite[0], finite[-1]}
    for stretch in np.array_split(finite, 50):
        expected |= {stretch[np.argmin(y[stretch])], stretch[np.argmax(y[stretch])]}
    assert pick_points(y, 100).tolist() == sorted(expected)
    assert pick_points(y, 1000).tolist() == finite.tolist()
    assert pick_points(np.full(3, np.nan), 2).size == 0
    # One point is asked for, and one stretch has up to four: its ends, its lowest and its highest.
    one = np.array([5.0, 1.0, 7.0, 2.0, 9.0, 6.0, 1.0, 5.0])
    assert pick_points(one, 1).tolist() == pick_points(one, 2).tolist() == pick_points(one, 3).tolist() == [0, 1, 4, 7]
    # Of eight values in three stretches the first two are longer: 5 1 7, 2 9 6, 1 5.
    assert pick_points(one, 6).tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert pick_points(one, 8).tolist() == list(range(8))


def test_chosen_steps_are_the_lessons_and_the_last() -> None:
    """Only steps that were reached, and always the last one."""
    assert choose_steps(250) == [100, 250]
    assert choose_steps(2000) == [100, 300, 500, 1000, 2000]
    assert choose_steps(0) == []
    assert choose_steps(99) == [99]
    assert choose_steps(4999) == [100, 300, 500, 1000, 2000, 4999]
    assert choose_steps(5000) == [100, 300, 500, 1000, 2000, 5000]
    assert choose_steps(20_000) == [100, 300, 500, 1000, 2000, 5000, 10_000, 20_000]


def test_nearest_recorded_step() -> None:
    """The earlier of two equally near steps; nothing where nothing is recorded."""
    assert find_nearest([50, 150], 100) == 0
    assert find_nearest([], 100) is None


@pytest.mark.parametrize(("width", "expected"), [(384, 10.901705), (768, 10.978505)])
def test_predicted_initial_loss(width: int, expected: float) -> None:
    """ln V + n_embd·0.02²/2 for GPT-2's init, to the last of six digits, and no prediction for another."""
    assert expect_initial_loss(50257, width, "gpt2") == pytest.approx(expected, abs=0.5e-6)
    assert expect_initial_loss(50257, width, "pytorch-default") is None


def test_epochs_and_perplexity_at_their_edges() -> None:
    """Unknown corpus sizes and losses beyond float range give NaN and infinity, not errors."""
    assert count_epochs(3000, 1500) == 2
    assert math.isnan(count_epochs(3000, math.nan))
    assert math.isnan(perplexity(math.nan))
    assert perplexity(1e6) == math.inf
    assert perplexity(0.0) == 1
    assert perplexity(700.0) == math.exp(700)
    assert perplexity(700.5) == math.inf
    assert count_epochs(3, 1) == 3
    assert math.isnan(count_epochs(3000, 0))
    assert math.isnan(count_epochs(3000, -1))


def test_a_train_loss_at_a_step_is_a_mean_of_ten() -> None:
    """Of losses 1 to 20: 3 to 12 at step 12, all up to step 4, the step before where one wasn't logged."""
    steps, losses = np.arange(1, 21), np.arange(1.0, 21.0)
    assert [train_loss_at(steps, losses, step) for step in (1, 4, 10, 11, 12, 20)] == [1.0, 2.5, 5.5, 6.5, 7.5, 15.5]
    assert train_loss_at([1, 2, 4], [1.0, 2.0, 9.0], 3) == 1.5
    assert math.isnan(train_loss_at(steps, losses, 21))
    assert math.isnan(train_loss_at([], [], 0))
    assert math.isnan(train_loss_at([1, 2], [math.nan, 2.0], 2))


def test_windows_by_hand() -> None:
    """A window of 3 and of 2 is one to each side; it shrinks on both sides at the start, and at the end on one."""
    values = [6.0, 3.0, 9.0, 0.0, 12.0, 6.0]
    for window in (2, 3):
        assert centred_mean(values, window).tolist() == [6.0, 6.0, 4.0, 7.0, 6.0, 9.0]
    assert centred_mean(values, 5).tolist() == [6.0, 6.0, 6.0, 6.0, 6.75, 6.0]
    assert centred_mean(values, 1).tolist() == values
    # What isn't finite counts for nobody else.
    assert np.nan_to_num(centred_mean([1.0, math.inf, 3.0, 5.0], 3), nan=-1.0).tolist() == [1.0, -1.0, 4.0, 4.0]
    assert trailing_mean(values, 1).tolist() == values
    assert trailing_mean(values, 4).tolist() == [6.0, 4.5, 6.0, 4.5, 6.0, 6.75]


def test_the_smoothing_window_is_a_thirtieth() -> None:
    """An odd number, between 11 and 101: 2 · 17 + 1 of 1,000 steps, and at least 2 · 5 + 1."""
    lengths = (0, 329, 331, 389, 391, 600, 1000, 2969, 2971, 100_000)
    assert [choose_smoothing_window(n) for n in lengths] == [11, 11, 13, 13, 15, 21, 35, 99, 101, 101]


def test_indices_are_picked_evenly() -> None:
    """The first and the last, and what lies between; all where they are few."""
    assert pick_evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert pick_evenly(5, 2).tolist() == [0, 4]
    assert pick_evenly(4, 3).tolist() == [0, 1, 3]
    assert pick_evenly(3, 3).tolist() == pick_evenly(3, 9).tolist() == [0, 1, 2]
    assert pick_evenly(0, 3).size == 0


def test_a_step_before_the_first_one_has_no_loss() -> None:
    """The steps of a fork begin behind its fork: of an earlier step it says nothing."""
    assert math.isnan(train_loss_at([7, 8], [2.0, 1.0], 6))
    assert train_loss_at([7, 8], [2.0, 1.0], 7) == 2.0
