"""The reference: the lesson's training loop as a student would write it.

It computes all logits of a batch at once, applies `F.cross_entropy`, and uses `torch.optim.AdamW` in fp32. The model,
initial weights, batches, learning rates and weight decay are gptexp's, so that both loops compute the same losses.
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
    """Make `training` plain: a model that keeps all activations, and AdamW without options.

    On a CPU such an AdamW updates the parameters one by one.
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
    """The model compiled by plain `torch.compile` on the batch of step 1, and the seconds that this took."""
    started = time.perf_counter()
    model = cast(nn.Module, torch.compile(training.model))
    x, y = next(iter(training.batches(1)))
    F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()  # type: ignore[no-untyped-call]
    training.optimizer.zero_grad()
    return model, time.perf_counter() - started


def take_plain_steps(training: Training, model: nn.Module, first: int, n_steps: int) -> tuple[list[float], list[float]]:
    """Take steps `first`, `first + 1`, ... with the lesson's loop.

    Args:
        training: prepared by `use_plain_parts`, with one micro-batch per step.
        model: the model of `training`, or the result of `compile_plain_model`.

    Returns:
        Seconds and loss (nats per token) of each step.
    """
    # The loop requests a batch at the start of each step: only there can the time be measured from outside.
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
