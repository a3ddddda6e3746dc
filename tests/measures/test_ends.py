"""Which final losses a run has: one rule for lists, tables, JSON and W&B."""

from __future__ import annotations

import math

import pytest

from gptexp.measures.ends import has_all_steps, list_unsaid

WHOLE_SPLIT = ["final_val_loss", "final_val_bpb"]
ALL = ["final_train_loss", *WHOLE_SPLIT]


@pytest.mark.parametrize(
    ("outcome", "last_step", "max_steps", "unsaid"),
    [
        ("completed", 100, 100, []),
        ("diverged", 100, 100, ALL),
        ("stopped", 50, 100, ALL),
        ("stopped", 100, 100, WHOLE_SPLIT),
        ("interrupted", 100, 100, WHOLE_SPLIT),
        ("failed", 99, 100, ALL),
        ("failed", 0, 0, ALL),
        ("unfinished", math.nan, 100, ALL),
        ("unfinished", None, None, ALL),
    ],
)
def test_a_loss_on_the_way_is_no_end(
    outcome: str, last_step: float | None, max_steps: int | None, unsaid: list[str]
) -> None:
    """Only a completed run has the losses of the whole val split; the train loss ends with the last step."""
    assert list_unsaid(outcome, last_step, max_steps) == unsaid
    assert has_all_steps(outcome, last_step, max_steps) == ("final_train_loss" not in unsaid)
