"""Flags: each rule fires on what it is for, and stays silent on what it is not for."""

from __future__ import annotations

import math
import random

import pytest

from gptexp.records import EvalRecord, StepRecord
from gptexp.training.flags import (
    FLAG_RULES,
    describe_flags,
    find_flags,
    find_overfit,
    find_plateau,
    find_rise,
    find_spike,
)


def noisy_curve(steps: int = 300) -> list[float]:
    """A healthy loss curve: falling, with the noise of small batches."""
    chance = random.Random(0)
    return [4 + 6 * math.exp(-step / 60) + chance.gauss(0, 0.15) for step in range(steps)]


def test_a_healthy_noisy_curve_has_no_spike() -> None:
    """Noise is normal: the lesson's jagged curve raises no flag."""
    assert find_spike(noisy_curve()) is None


@pytest.mark.parametrize(("length", "recovered"), [(1, True), (20, True), (200, False)])
def test_a_spike_is_found_and_followed(length: int, recovered: bool) -> None:
    """A jump of 3 nats is a spike at its first step; it recovers or it doesn't."""
    losses = noisy_curve()
    for place in range(150, min(300, 150 + length)):
        losses[place] += 3
    spike = find_spike(losses)
    assert spike is not None
    assert (spike["step"], spike["recovered"]) == (151, recovered)


def test_the_edge_of_a_spike() -> None:
    """In a quiet window half a nat above the median is none and a little more is one; in a noisy one it takes six
    deviations: losses of 4 and 4.5 have a median of 4.5 and deviate by 0.5, so 1.4826 x 0.5 x 6 = 4.4478 more.
    The first step that has 25 before it is the 26th.
    """
    quiet = [4.0] * 25
    assert find_spike([*quiet, 4.5]) is None
    assert find_spike([*quiet, 4.501]) == {"step": 26, "train_loss": 4.501, "median_before": 4.0, "recovered": False}
    assert find_spike([*quiet[:24], 9.0]) is None
    noisy = [4.0, 5.0] * 12 + [4.5]
    assert find_spike([*noisy, 4.5 + 4.447]) is None
    found = find_spike([*noisy, 4.5 + 4.449])
    assert found is not None
    assert (found["step"], found["median_before"]) == (26, 4.5)


@pytest.mark.parametrize(
    ("after", "recovered"),
    [
        # Ten of 50 steps are back, the last ten that count; one step later they don't.
        ([9.0] * 40 + [4.0999] * 10, True),
        ([9.0] * 41 + [4.0999] * 10, False),
        # Their mean may lie 0.1 above the median, no more; nine steps are no ten.
        ([4.1001] * 50, False),
        ([4.0] * 9, False),
        ([4.0] * 10, True),
    ],
)
def test_the_edge_of_a_recovery(after: list[float], recovered: bool) -> None:
    """Within 50 steps the mean of 10 has to be back within 0.1 nats of the median before."""
    found = find_spike([4.0] * 25 + [9.0, *after])
    assert found is not None
    assert (found["step"], found["recovered"]) == (26, recovered)


def test_a_loss_that_is_not_a_number_is_a_spike() -> None:
    """NaN compares as false with everything; the rule must not miss it."""
    spike = find_spike([*noisy_curve(100), math.nan])
    assert spike is not None
    assert spike["step"] == 101


def test_plateau() -> None:
    """A val loss that stands still over the last third is a plateau; one that falls by more than 1% is not."""
    falling = [(step, 10 - 0.01 * step) for step in range(0, 301, 50)]
    standing = [(step, max(7.0, loss)) for step, loss in [(step, 10 - 0.03 * step) for step in range(0, 301, 50)]]
    assert find_plateau(falling) is None
    assert find_plateau(standing) == {"step": 200, "gain": 0.0}
    assert find_plateau(standing[:3]) is None


def test_the_edge_of_a_plateau() -> None:
    """The last third begins after step 200 of 300; at least two evaluations lie in it. A fall or rise of 1% is none."""
    evals = [(0, 10.0), (100, 9.0), (200, 8.0), (205, 7.95), (300, 7.93)]
    assert find_plateau(evals) == {"step": 200, "gain": pytest.approx(0.07)}
    assert find_plateau([*evals[:4], (300, 7.92)]) is None
    assert find_plateau([*evals[:3], (205, 7.5), (300, 8.0)]) is None
    assert find_plateau([*evals[:3], (300, 8.0)]) is None
    assert find_plateau([(0, 8.0), (100, 8.0), (200, 8.0)]) is None
    assert find_plateau([(250, 8.0), (260, 8.0), (280, 8.0), (300, 8.0)]) is None
    # Four evaluations are enough; step 200 itself belongs to what was before.
    assert find_plateau([(100, 8.5), (200, 8.0), (250, 8.0), (300, 8.0)]) == {"step": 200, "gain": 0.0}
    # A val loss that rises does not stand still.
    assert find_plateau([(0, 9.0), (200, 8.0), (250, 8.05), (300, 8.1)]) is None
    assert find_plateau([(0, 200.0), (100, 150.0), (200, 100.0), (250, 99.5), (300, 99.0)]) is None


def test_overfit() -> None:
    """A val loss that ends 1% above its minimum is overfit from that step; noise below that is not."""
    assert find_overfit([(0, 10.0), (100, 5.0), (200, 4.0), (300, 4.5)]) == {
        "best_step": 200,
        "best_val_loss": 4.0,
        "rise": 0.5,
    }
    assert find_overfit([(0, 10.0), (100, 4.0), (200, 4.03)]) is None
    assert find_overfit([(0, 10.0)]) is None
    assert find_overfit([(0, 4.0), (100, 4.05)]) == {"best_step": 0, "best_val_loss": 4.0, "rise": pytest.approx(0.05)}
    assert find_overfit([(0, 4.0), (100, 4.04)]) is None


def test_flags_of_records_and_their_words() -> None:
    """The whole split is another measure than the subset, so it doesn't make a run overfit; every flag has a rule."""
    steps = [StepRecord(s, loss, 1e-3, 1.0, False, s, 0.1, 1.0) for s, loss in enumerate(noisy_curve(60), start=1)]
    evals = [EvalRecord(s, loss, 1.0, 100, False) for s, loss in ((0, 10.0), (30, 4.0), (60, 5.0))]
    flags = find_flags([*steps, *evals, EvalRecord(60, 9.0, 1.0, 100, True)])
    assert set(flags) == {"overfit"}
    assert describe_flags(flags) == "overfit from step 30"
    assert set(FLAG_RULES) == {"spiked", "plateaued", "overfit", "rose-above-start", "above-bigram"}
    assert describe_flags({"spiked": {"step": 1500, "recovered": False}}) == "spiked at step 1,500 (not recovered)"


def test_a_rise_above_the_first_loss() -> None:
    """From step 2 on, by more than 0.1 nats; the highest loss is told beside the first step above. What is not finite
    is a divergence, which the outcome tells.
    """
    assert find_rise([4.18, 3.62, 4.11, 6.93, 5.0, 3.0]) == {
        "step": 4,
        "highest_step": 4,
        "train_loss": 6.93,
        "first_train_loss": 4.18,
    }
    found = find_rise([4.0, 4.2, 3.0, 5.0])
    assert found is not None
    assert (found["step"], found["highest_step"]) == (2, 4)
    assert find_rise([4.0, 4.1, 3.0]) is None
    assert find_rise([4.0, math.nan, math.inf]) is None
    assert find_rise([]) is None
    assert find_rise([math.nan, 4.0]) is None


def test_batches_that_differ_are_no_rise() -> None:
    """Small batches at a rate at which nothing moves: every loss lies some tenths beside the first, and none has risen.
    With the same batches a true rise of a nat is one, and so is a small one where batches hardly differ.
    """
    noise = random.Random(5)
    still = [10.8 + noise.gauss(0.0, 0.08) for _ in range(200)]
    assert max(still) > still[0] + 0.1
    assert find_rise(still) is None
    up = [loss + (1.0 if 40 <= place < 60 else 0.0) for place, loss in enumerate(still)]
    found = find_rise(up)
    assert found is not None
    assert 40 < found["step"] <= 60
    calm = [10.8 + noise.gauss(0.0, 0.005) for _ in range(200)]
    assert find_rise([*calm, 10.95]) == {
        "step": 201,
        "highest_step": 201,
        "train_loss": 10.95,
        "first_train_loss": calm[0],
    }


def test_wild_first_steps_do_not_hide_their_rise() -> None:
    """The noise is the whole run's: a start that jumps by nats is measured with the calm that follows."""
    wild = [4.18, 3.62, 4.11, 6.93, 5.0, 4.4, 3.9, 3.6]
    found = find_rise([*wild, *(3.5 - 0.01 * step + 0.02 * (-1) ** step for step in range(60))])
    assert found is not None
    assert (found["step"], found["highest_step"]) == (4, 4)


def test_a_finite_end_above_the_bigram_loss_is_a_failed_training() -> None:
    """By the loss over the whole split, and only of a run that trained; equal is not above."""
    steps = [StepRecord(s, 4.0, 1e-3, 1.0, False, s, 0.1, 1.0) for s in range(1, 4)]
    flags = find_flags([*steps, EvalRecord(3, 2.59, 1.0, 100, True)], bigram_loss=2.486)
    assert flags == {"above-bigram": {"final_val_loss": 2.59, "bigram_loss": 2.486}}
    assert describe_flags(flags) == "learned less than a bigram model: ended at 2.590 where that reaches 2.486"
    assert find_flags([*steps, EvalRecord(3, 2.486, 1.0, 100, True)], bigram_loss=2.486) == {}
    assert find_flags([*steps, EvalRecord(3, 2.59, 1.0, 100, True)]) == {}
    assert find_flags([*steps, EvalRecord(3, 2.59, 1.0, 100, False)], bigram_loss=2.486) == {}
    assert find_flags([EvalRecord(0, 10.9, 1.0, 100, True)], bigram_loss=5.06) == {}
