"""Pure helpers on curves: smoothing, thinning, values at steps, epochs, and what a loss means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gptexp.measures.measure import FINAL_WINDOW

Floats = npt.NDArray[np.float64]

CHOSEN_STEPS = (100, 300, 500, 1000, 2000, 5000, 10_000)
"""Steps at which arms are compared side by side. Source: the lesson's outline."""
INIT_STD = 0.02
"""σ of GPT-2's initial weights. Source: GPT-2, https://github.com/openai/gpt-2/blob/master/src/model.py"""


def trailing_mean(values: Sequence[float] | Floats, window: int) -> Floats:
    """The mean of each value and the `window - 1` before it (of those there are, at the start).

    Args:
        values: float (n,); a NaN or infinity makes every mean that holds it NaN.
        window: at least 1.

    Returns:
        float64 (n,).
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return array
    finite = np.isfinite(array)
    sums = np.cumsum(np.where(finite, array, 0.0))
    bad = np.cumsum(~finite)
    count = np.minimum(np.arange(1, array.size + 1), window)
    before_sums = np.concatenate([np.zeros(window), sums])[: array.size]
    before_bad = np.concatenate([np.zeros(window, dtype=bad.dtype), bad])[: array.size]
    return np.where(bad - before_bad > 0, np.nan, (sums - before_sums) / count)


def train_loss_at(steps: npt.ArrayLike, losses: npt.ArrayLike, step: int) -> float:
    """The train loss at a step (nats per token): the mean of the `FINAL_WINDOW` up to it; NaN where none is there.

    Args:
        steps: int (n,), rising.
        losses: float (n,), one per step.
    """
    done, array = np.asarray(steps), np.asarray(losses, dtype=np.float64)
    # The steps of a fork begin behind its fork.
    if not done.size or not done.min() <= step <= done.max():
        return math.nan
    return float(trailing_mean(array[done <= step], FINAL_WINDOW)[-1])


def centred_mean(values: Sequence[float] | Floats, window: int) -> Floats:
    """The mean of the finite values among the `window` around each value.

    At the start, where losses fall steeply, the window shrinks on both sides; at the end only the later side does.

    Unlike a trailing mean it doesn't lag behind a falling curve, so train and val loss can share an axis.

    Args:
        values: float (n,); where it isn't finite, neither is the mean (NaN).
        window: at least 1; an even one counts as the next odd one.

    Returns:
        float64 (n,).
    """
    array = np.asarray(values, dtype=np.float64)
    index = np.arange(array.size)
    before = np.minimum(window // 2, index)
    after = np.minimum(before, array.size - 1 - index)
    finite = np.isfinite(array)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, array, 0.0))])
    count = np.concatenate([[0], np.cumsum(finite)])
    low, high = index - before, index + after + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(finite, (sums[high] - sums[low]) / (count[high] - count[low]), np.nan)


def choose_smoothing_window(n_steps: int) -> int:
    """Steps to average for a readable train curve: a thirtieth of the run, between 11 and 101, odd."""
    return 2 * int(min(max(round(n_steps / 60), 5), 50)) + 1


def choose_steps(last_step: int) -> list[int]:
    """The `CHOSEN_STEPS` up to `last_step`, and `last_step` itself."""
    return sorted({step for step in CHOSEN_STEPS if step <= last_step} | ({last_step} if last_step > 0 else set()))


def find_nearest(steps: npt.ArrayLike, step: int) -> int | None:
    """Index of the recorded step nearest to `step` (the earlier of two), None where nothing is recorded."""
    array = np.asarray(steps)
    return int(np.argmin(np.abs(array - step))) if array.size else None


def thin_curve(x: Floats, y: Floats, limit: int) -> tuple[Floats, Floats]:
    """At most about `limit` points of a curve, the lowest and the highest of every stretch among them.

    So that a drawing of 10,000 steps stays small and no spike disappears. Points with a non-finite y are left out.
    """
    index = pick_points(y, limit)
    return x[index], y[index]


def pick_points(y: Floats, limit: int) -> npt.NDArray[np.int64]:
    """Indices of at most about `limit` finite values: the first, the last, and the lowest and highest of every stretch.

    Args:
        y: float (n,).
        limit: at least 1.

    Returns:
        int64 (m,), rising; all finite values where they are no more than `limit`.
    """
    finite = np.flatnonzero(np.isfinite(y))
    if finite.size <= limit:
        return finite
    values, stretches = y[finite], max(limit // 2, 1)
    size, longer = divmod(finite.size, stretches)
    sizes = np.full(stretches, size)
    sizes[:longer] += 1
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    stretch = np.repeat(np.arange(stretches), sizes)
    chosen = [np.array([0, finite.size - 1])]
    for extremes in (np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)):
        places = np.flatnonzero(values == extremes[stretch])
        chosen.append(places[np.unique(stretch[places], return_index=True)[1]])
    picked: npt.NDArray[np.int64] = finite[np.unique(np.concatenate(chosen))]
    return picked


def pick_evenly(n: int, limit: int) -> npt.NDArray[np.int64]:
    """At most `limit` of the indices 0 .. n - 1, the first and the last among them: int64 (m,), rising."""
    return np.unique(np.linspace(0, n - 1, limit).astype(int)) if n > limit else np.arange(n)


def count_epochs(tokens_seen: float, train_tokens: float) -> float:
    """How often the train split was seen on average; NaN where its size isn't known."""
    return float(tokens_seen) / float(train_tokens) if train_tokens and train_tokens > 0 else math.nan


def expect_initial_loss(vocab_size: int, n_embd: int, init: str) -> float | None:
    """The loss (nats per token) of an untrained GPT, None for an init that has no simple prediction.

    With tied N(0, σ²) embeddings the final LayerNorm gives logits of variance about n_embd·σ², and the expected
    cross-entropy of V logits with that variance against an independent target is ln V + n_embd·σ²/2.

    Source: the mean of a log-normal, E[e^z] = e^(s²/2) for z ~ N(0, s²); measured 10.9026 against 10.9017 at 384.
    """
    if init != "gpt2":
        return None
    return math.log(vocab_size) + n_embd * INIT_STD**2 / 2


def perplexity(loss: float) -> float:
    """e^loss: the number of equally likely tokens that would be as hard to guess; infinity where it overflows."""
    return math.inf if loss > 700 else math.exp(loss)
