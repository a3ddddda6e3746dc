"""Learning rate schedules: pure functions of the step (`torch_scheduler` makes the same curves of torch's own parts).

Steps count from 1 to max_steps; the learning rate of step s is the one used for the s-th update.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gptexp.config import RunConfig
from gptexp.names import list_needs


@dataclass(frozen=True)
class Schedule:
    """A learning rate for every step."""

    rate: Callable[[int, RunConfig], float]
    """Of update `step`, 1 <= step <= max_steps: pure."""
    needs: tuple[str, ...] = ()
    """Which of warmup_steps, min_lr and decay_steps it reads. What it doesn't read makes no other run."""


def learning_rate(step: int, config: RunConfig) -> float:
    """The learning rate of update `step`, 1 <= step <= max_steps.

    constant: lr throughout. All others rise linearly from lr/warmup_steps to lr at step warmup_steps. warmup-constant
    stays there; the rest reach min_lr at step max_steps: warmup-cosine along half a cosine, warmup-linear along a line,
    wsd (warmup, stable, decay) after staying at lr until the last decay_steps, along a line, and wsd-sqrt along one
    minus the root of the share of them that is done.

    Source: SGDR, arXiv 1608.03983, equation 5 (cosine); Hägele et al., arXiv 2405.18392 (wsd: constant plus cooldown,
    and wsd-sqrt: its cooldown "1-sqrt").
    """
    if config.schedule == "constant":
        return config.lr
    warmup, min_lr = config.resolved_warmup_steps, config.resolved_min_lr
    if step <= warmup:
        return config.lr * step / warmup
    start = decay_start(config)
    if step <= start or config.schedule == "warmup-constant":
        return config.lr
    progress = min(1.0, (step - start) / (config.max_steps - start))
    remaining = 1.0 - progress
    if config.schedule == "warmup-cosine":
        remaining = 0.5 * (1.0 + math.cos(math.pi * progress))
    elif config.schedule == "wsd-sqrt":
        remaining = 1.0 - math.sqrt(progress)
    return min_lr + (config.lr - min_lr) * remaining


def decay_start(config: RunConfig) -> int:
    """The last step at the peak learning rate of a decaying schedule."""
    is_late = "decay_steps" in list_needs(config.schedule)
    stable_end = config.max_steps - config.resolved_decay_steps if is_late else 0
    return max(1, config.resolved_warmup_steps, stable_end)


CONSTANT = Schedule(learning_rate)
WARMUP_CONSTANT = Schedule(learning_rate, ("warmup_steps",))
WARMUP_DECAY = Schedule(learning_rate, ("warmup_steps", "min_lr"))
WSD = Schedule(learning_rate, ("warmup_steps", "min_lr", "decay_steps"))
