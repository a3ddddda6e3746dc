"""The lesson's schedule twice, as a student would write it: warmup and cosine by hand, and of torch's own parts."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR


def learning_rate(step: int, peak: float, floor: float, warmup_steps: int, max_steps: int) -> float:
    """The rate of update `step`, 1 <= step <= max_steps: up to the peak along a line, down to the floor along a cosine.

    Source: SGDR, arXiv 1608.03983, equation 5.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / (max_steps - warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return floor + (peak - floor) * cosine


def make_scheduler(optimizer: Optimizer, floor: float, warmup_steps: int, max_steps: int) -> SequentialLR:
    """The same curve for an optimizer that was built with the peak as its rate: call `step()` after each update."""
    warmup = LinearLR(optimizer, 1 / warmup_steps, total_iters=warmup_steps - 1)
    decay = CosineAnnealingLR(optimizer, max_steps - warmup_steps, floor)
    scheduler = SequentialLR(optimizer, [warmup, decay], [warmup_steps - 1])
    return scheduler  # not shown  # noqa: RET504
