"""The lesson's GPT training loop: as the classifier's, plus a learning rate per step and gradient clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def train_gpt(
    model: nn.Module,
    train_loader: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    max_steps: int,
    learning_rate: Callable[[int], float],
) -> list[float]:
    """Train on int64 (B, T) tokens with the (B, T) tokens that follow them; returns the loss of every step.

    Args:
        learning_rate: step, from 1 on -> the rate of its update.
    """
    losses = []
    model.train()
    train_iter = iter(cycle(train_loader))
    for step in range(max_steps):
        x, y = next(train_iter)
        for param_group in optimizer.param_groups:
            param_group["lr"] = learning_rate(step + 1)
        logits = model(x)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        losses.append(loss.item())  # not shown
    return losses


def cycle(loader: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The loader's batches, epoch after epoch. (itertools.cycle would keep all batches and never shuffle again.)"""
    while True:
        yield from loader
