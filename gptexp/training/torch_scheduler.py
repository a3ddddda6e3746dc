"""The learning rate schedules as torch.optim.lr_scheduler has them."""

from __future__ import annotations

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, LRScheduler, SequentialLR

from gptexp.config import RunConfig
from gptexp.training.schedule import decay_start


def torch_scheduler(optimizer: torch.optim.Optimizer, config: RunConfig) -> LRScheduler:
    """The same curve as `learning_rate`, made of torch's own schedulers.

    After construction the optimizer holds the learning rate of step 1; each `scheduler.step()` moves it on by one.
    The optimizer must have been built with `lr=config.lr`.
    """
    if config.schedule == "constant":
        return LambdaLR(optimizer, lambda _: 1.0)
    warmup, min_lr, start = config.resolved_warmup_steps, config.resolved_min_lr, decay_start(config)
    decay_steps = max(1, config.max_steps - start)
    # A SequentialLR restarts its parts' clocks at each milestone; a milestone m hands over at step m + 1.
    stages: list[LRScheduler] = []
    milestones: list[int] = []
    if warmup > 1:
        stages.append(LinearLR(optimizer, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1))
        milestones.append(warmup - 1)
    if start > max(warmup, 1):
        stages.append(LambdaLR(optimizer, lambda _: 1.0))
        milestones.append(start - 1)
    if config.schedule == "warmup-constant":
        stages.append(LambdaLR(optimizer, lambda _: 1.0))
    elif config.schedule == "warmup-cosine":
        stages.append(CosineAnnealingLR(optimizer, T_max=decay_steps, eta_min=min_lr))
    elif config.schedule == "wsd-sqrt":
        bottom = min_lr / config.lr
        stages.append(LambdaLR(optimizer, lambda done: bottom + (1 - bottom) * (1 - (done / decay_steps) ** 0.5)))
    else:
        stages.append(LinearLR(optimizer, start_factor=1.0, end_factor=min_lr / config.lr, total_iters=decay_steps))
    return SequentialLR(optimizer, stages, milestones) if len(stages) > 1 else stages[0]
