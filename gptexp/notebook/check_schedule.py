"""The check of the learning rate schedule: warmup, then half a cosine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gptexp.notebook.answers import NotYet, call_answer, is_close, is_empty, name_mistake

WARMUP, LAST = 10, 100
PEAK, FLOOR = 1.0, 0.1
EARLY = 32
"""A step at which a line, a whole cosine and a cosine from another start all differ from the right curve."""


def check_schedule(learning_rate: Callable[..., Any]) -> None:
    """Say whether a schedule rises to the peak by the end of the warmup and falls along half a cosine to the floor.

    Args:
        learning_rate: (step, peak, floor, warmup, last) -> learning rate; steps count from 1 to last.

    Raises:
        NotYet: what is wrong with the schedule.
    """

    def rate(step: int) -> Any:
        return call_answer(learning_rate, step, PEAK, FLOOR, WARMUP, LAST, known={})

    check_warmup(rate)
    for step in (WARMUP + 1, EARLY, LAST):
        if is_empty(rate(step)):
            raise NotYet("the decay is still empty: give the rate between peak and floor, along half a cosine.")
    right = cosine((EARLY - WARMUP) / (LAST - WARMUP))
    if not is_close(rate(LAST), FLOOR):
        raise name_mistake(rate(LAST), list_wrong_ends(), describe(rate, LAST, FLOOR))
    if not is_close(rate(EARLY), right):
        raise name_mistake(rate(EARLY), list_wrong_shapes(), describe(rate, EARLY, right))
    print(f"Right: {PEAK:g} at step {WARMUP}, {rate(LAST):g} at step {LAST}.")


def cosine(progress: float) -> float:
    """Half a cosine from `PEAK` at progress 0 to `FLOOR` at 1."""
    return FLOOR + (PEAK - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def describe(rate: Callable[[int], Any], step: int, right: float) -> str:
    """What is to be at a step, and what is."""
    return (
        f"with peak {PEAK:g}, floor {FLOOR:g}, warmup {WARMUP} and last {LAST} the rate at step {step} has to be "
        f"{right:.4f}, and yours is {float(rate(step)):.4f}."
    )


def check_warmup(rate: Callable[[int], Any]) -> None:
    """A rise that reaches the peak at the last step of the warmup.

    Raises:
        NotYet: it does so a step early or late.
    """
    if any(is_empty(rate(step)) for step in (1, WARMUP)):
        raise NotYet("the warmup gives no rate: up to step `warmup` it is peak * step / warmup.")
    if is_close(rate(1), PEAK / WARMUP) and is_close(rate(WARMUP), PEAK):
        return
    right = "steps count from 1, so the rate is peak / warmup at step 1 and peak at step `warmup`"
    mistakes = {
        f"the warmup is off by one, a step late: {right}.": [(WARMUP - 1) / WARMUP * PEAK],
        f"the warmup is off by one, a step early: {right}.": [(WARMUP + 1) / WARMUP * PEAK],
    }
    otherwise = f"the warmup is not a line to the peak: {right}; yours is {float(rate(1)):.4f} at step 1."
    raise name_mistake(rate(WARMUP), mistakes, otherwise)


def list_wrong_ends() -> dict[str, list[float]]:
    """What to say -> the rates at the last step that this mistake can give."""
    span = PEAK - FLOOR
    return {
        "the cosine ends at zero: it has to end at the floor, so let it span peak - floor and add the floor to it.": [
            0.0
        ],
        "the rate rises: 1 - cos begins at 0 and ends at 2; it has to be 1 + cos.": [PEAK],
        "the cosine goes from 1 to -1 and has to go from 1 to 0: use 0.5 * (1 + cos(...)).": [FLOOR - span],
        "the cosine stops on its way: it takes math.pi times the progress.": [FLOOR + span * 0.5 * (1 + math.cos(1))],
        "the cosine has not arrived at the last step: divide by the steps of the decay, last - warmup, not by last.": [
            cosine((LAST - WARMUP) / LAST)
        ],
    }


def list_wrong_shapes() -> dict[str, list[float]]:
    """What to say -> the rates at step `EARLY` that this mistake can give."""
    progress, span = (EARLY - WARMUP) / (LAST - WARMUP), PEAK - FLOOR
    return {
        "the cosine begins at the wrong step: the progress is 0 at the end of the warmup and 1 at the last step, so it "
        "is (step - warmup) / (last - warmup).": [cosine(EARLY / LAST)],
        "the decay is a straight line: it has to follow half a cosine.": [PEAK - span * progress],
        "the rate starts above the peak: the cosine spans peak - floor, not peak.": [
            FLOOR + PEAK * 0.5 * (1 + math.cos(math.pi * progress))
        ],
        "that is a quarter of a cosine: it takes math.pi times the progress, not math.pi / 2.": [
            FLOOR + span * math.cos(math.pi / 2 * progress)
        ],
    }
