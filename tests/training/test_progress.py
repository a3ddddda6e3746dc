"""What records amount to, against totals reckoned by hand."""

from __future__ import annotations

import math

import pytest

from gptexp.records import EvalRecord, EventRecord, Record, SampleRecord, StepRecord
from gptexp.training.progress import SMOOTHING_STEPS, Progress, fold


def step(number: int, loss: float = 4.0, norm: float = 1.0, *, clipped: bool = False) -> StepRecord:
    return StepRecord(number, loss, 1e-3, norm, clipped, 64 * number, 0.25, 256.0)


def evaluation(number: int, loss: float, *, whole: bool = False) -> EvalRecord:
    return EvalRecord(number, loss, loss / 2, 100, whole)


def test_totals_by_hand() -> None:
    """Three steps, four evaluations: the last step, its tokens, seconds, clipped share, largest norm, best and last."""
    records: list[Record] = [
        evaluation(0, 4.2),
        step(1, 4.0, 2.0, clipped=True),
        step(2, 3.0, 5.0, clipped=True),
        evaluation(2, 3.1),
        step(3, 2.0, 0.5),
        evaluation(3, 3.3),
        evaluation(3, 2.9, whole=True),
    ]
    found = fold(records)
    assert found.totals() == {
        "last_step": 3,
        "final_train_loss": 3.0,
        "final_val_loss": 2.9,
        "final_val_bpb": 1.45,
        "best_val_loss": 3.1,
        "best_val_step": 2,
        "initial_val_loss": 4.2,
        "diverged_step": None,
        "diverged_where": None,
        "last_finite_train_loss": 2.0,
        "clipped_fraction": pytest.approx(2 / 3),
        "max_grad_norm": 5.0,
        "tokens_seen": 192,
    }
    assert found.train_seconds == 0.75


def test_nothing_recorded_has_no_totals() -> None:
    """Before the first record there is no loss and no share: None, not zero."""
    totals = Progress().totals()
    assert {name for name, value in totals.items() if value is not None} == {"last_step", "tokens_seen"}
    assert Progress().train_loss is None


def test_the_train_loss_is_the_mean_of_the_last_ten() -> None:
    """Of losses 1 to 12 the last ten count: 3 to 12."""
    assert SMOOTHING_STEPS == 10
    assert fold(step(number, float(number)) for number in range(1, 13)).train_loss == 7.5


def test_what_is_not_finite_is_kept_where_it_belongs() -> None:
    """A norm that is not a number stays the largest; a loss that is none leaves the last finite one; no evaluation
    that broke is the best, and what diverged says where.
    """
    found = fold(
        [
            evaluation(0, math.inf),
            step(1, 4.0, 1.0),
            evaluation(1, 3.9),
            step(2, math.nan, math.nan),
            EventRecord(2, "outlier-batch", ""),
            EventRecord(2, "diverged", "gradient of x"),
            evaluation(2, math.nan),
        ]
    )
    totals = found.totals()
    assert math.isnan(totals["max_grad_norm"])
    assert totals["last_finite_train_loss"] == 4.0
    assert (totals["best_val_loss"], totals["best_val_step"]) == (3.9, 1)
    assert totals["initial_val_loss"] == math.inf
    assert (totals["diverged_step"], totals["diverged_where"]) == (2, "gradient of x")


def test_equal_losses_keep_the_earlier_evaluation() -> None:
    """The best evaluation is the first with its loss; the first one at step 0 is the initial one, also when resumed."""
    found = fold([evaluation(0, 4.0), evaluation(0, 3.0), evaluation(5, 2.0), evaluation(10, 2.0)])
    assert found.totals()["best_val_step"] == 5
    assert found.initial_val_loss == 4.0


def test_thresholds_that_have_their_sample() -> None:
    """The lowest counts, whatever came after it; samples of other triggers are none."""
    samples = [SampleRecord(at, "loss", threshold, 1.0, "", "") for at, threshold in ((5, 8.0), (9, 3.0), (9, 4.0))]
    found = fold([*samples, SampleRecord(10, "interval", None, 1.0, "", "")])
    assert found.lowest_threshold == 3.0
    assert found.milestone_steps == {5, 9}
