"""The training loop: the lesson's loop, and nothing else on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from gptexp.config import RunConfig
from gptexp.model.gpt import GPT
from gptexp.names import SCHEDULES
from gptexp.training.device import Hardware
from gptexp.training.divergence import Diverged, locate_in_forward, locate_in_gradients
from gptexp.training.optimizer import gradient_norm, make_state, set_learning_rate, take_step

Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]
"""step -> the micro-batches (x, y) of that step, each int64 (B, T)."""


@dataclass
class Training:
    """What the loop changes, and what it needs to do so."""

    config: RunConfig
    hardware: Hardware
    model: GPT
    optimizer: Optimizer
    batches: Batches
    kept: dict[str, Any] = field(default_factory=dict)
    """What the metrics of a step share."""


class Observer(Protocol):
    """Watches a training from outside: records, evaluations, samples, checkpoints."""

    def steps(self) -> Iterator[int]:
        """The steps still to do."""

    def before_update(self, step: int) -> None:
        """Called while the weights are still those that the gradients of `step` belong to."""

    def after_step(self, step: int, lr: float, loss: float, grad_norm: float) -> None:
        """Called once the weights of `step` are in place."""

    def diverged(self, step: int, lr: float, loss: float, grad_norm: float, where: str) -> None:
        """Called instead of `after_step` when loss or gradient is not finite."""


def train(training: Training, observer: Observer) -> None:
    """Forward, loss, backward, clip, step, until the observer has no more steps.

    Raises:
        Diverged: the loss or a gradient is not finite; the weights are those before that step.
    """
    config, model, optimizer = training.config, training.model, training.optimizer
    learning_rate = SCHEDULES.find(config.schedule).rate
    model.train()
    for step in observer.steps():
        make_state(optimizer)
        lr = learning_rate(step, config)
        set_learning_rate(optimizer, lr)
        total = torch.zeros((), device=training.hardware.device)
        for x, y in training.batches(step):
            with training.hardware.autocast():
                micro_loss = model.loss(x, y) / config.grad_accum_steps
            micro_loss.backward()  # type: ignore[no-untyped-call]
            total += micro_loss.detach()
        norm = gradient_norm(model)
        observer.before_update(step)
        # The one moment of a step at which CUDA is waited for.
        loss, grad_norm = take_step(optimizer, norm, config.grad_clip, loss=total)
        if not is_finite(loss, grad_norm):
            where = explain_divergence(training, step, loss)
            observer.diverged(step, lr, loss, grad_norm, where)
            raise Diverged(step, where)
        optimizer.zero_grad()
        observer.after_step(step, lr, loss, grad_norm)


def is_finite(*values: float) -> bool:
    """Whether none of `values` is NaN or infinite."""
    return all(abs(value) < float("inf") for value in values)


def explain_divergence(training: Training, step: int, loss: float) -> str:
    """Which number of `step` was first not finite, in words."""
    if is_finite(loss):
        return locate_in_gradients(training.model)
    for x, y in training.batches(step):
        with torch.no_grad(), training.hardware.autocast():
            if not is_finite(training.model.loss(x, y).item()):
                return locate_in_forward(training.model, x)
    return "loss"
