"""The lesson's whole loop: the GPT loop, and what a real training needs around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptexp.lesson.gpt_loop import cycle


def train_and_watch(
    model: nn.Module,
    train_loader: Iterable[tuple[Tensor, Tensor]],
    val_loader: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    learning_rate: Callable[[int], float],
    generate: Callable[[nn.Module], str],
    max_steps: int,
    every: int,
) -> list[tuple[float, float]]:
    """Train as `train_gpt` does; every so many steps evaluate, write a text and save a checkpoint.

    Returns:
        The train and the val loss at each of these steps.
    """
    history = []
    model.train()
    train_iter = cycle(train_loader)
    for step in range(max_steps):
        x, y = next(train_iter)  # both (B, T): tokens, and the tokens that follow them
        for param_group in optimizer.param_groups:
            param_group["lr"] = learning_rate(step + 1)
        logits = model(x)  # (B, T, vocabulary)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()

        if (step + 1) % every == 0:
            model.eval()
            with torch.no_grad():
                losses = []
                for x, y in islice(val_loader, 20):  # 20 different batches
                    losses.append(F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item())
            val_loss = sum(losses) / len(losses)
            print(step + 1, loss.item(), val_loss)
            print(generate(model))
            weights, moments = model.state_dict(), optimizer.state_dict()
            state = {"step": step + 1, "model": weights, "optimizer": moments}
            torch.save(state, "checkpoint.pt")
            model.train()
            history.append((loss.item(), val_loss))  # not shown
    return history
