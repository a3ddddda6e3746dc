"""The loop to compare with: the lesson's, as a student types it.

All logits of a batch at once, `F.cross_entropy` over them, AdamW as `torch.optim` gives it, fp32. The model, the
initial weights, the batches, the learning rates and the weight decay are gptexp's, so that both loops compute the same
losses.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptexp.lesson.gpt_loop import train_gpt
from gptexp.model.gpt import Block
from gptexp.names import SCHEDULES
from gptexp.training.loop import Training

CLIPS_AT = 1.0
"""The lesson's loop clips at this norm, whatever the config says."""


def use_plain_parts(training: Training) -> None:
    """Give `training` what a student would take: a model that keeps all activations, and AdamW without options.

    On a CPU such an AdamW goes through the parameters one by one.
    """
    for module in training.model.modules():
        if isinstance(module, Block):
            module.recomputes_from = sys.maxsize
            module.ffn.gelu = partial(F.gelu, approximate="tanh")
    config = training.config
    groups = [
        {"params": group["params"], "weight_decay": group["weight_decay"]} for group in training.optimizer.param_groups
    ]
    betas = (config.beta1, config.beta2)
    training.optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.eps)


def compile_plain_model(training: Training) -> tuple[nn.Module, float]:
    """The model through torch.compile as a student calls it, compiled on the batch of the first step; and seconds."""
    started = time.perf_counter()
    model = cast(nn.Module, torch.compile(training.model))
    x, y = next(iter(training.batches(1)))
    F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()  # type: ignore[no-untyped-call]
    training.optimizer.zero_grad()
    return model, time.perf_counter() - started


def take_plain_steps(training: Training, model: nn.Module, first: int, n_steps: int) -> tuple[list[float], list[float]]:
    """Steps `first`, `first + 1`, ... by the lesson's loop.

    Args:
        training: with `use_plain_parts`, and one micro-batch per step.
        model: that of `training`, or `compile_plain_model` of it.

    Returns:
        Seconds of every step, and its loss (nats per token).
    """
    # The loop asks for a batch when it begins a step: these are the only places to look at the clock from outside.
    moments: list[float] = []

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(first, first + n_steps):
            moments.append(time.perf_counter())
            yield from training.batches(step)

    rate = SCHEDULES.find(training.config.schedule).rate
    losses = train_gpt(
        model,
        batches(),
        training.optimizer,
        n_steps,
        lambda step: rate(first + step - 1, training.config),
    )
    moments.append(time.perf_counter())
    return [end - start for start, end in pairwise(moments)], losses
