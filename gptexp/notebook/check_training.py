"""Checks of the training step: the loss, and where the gradient is clipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptexp.notebook.answers import NotYet, call_answer, is_close, is_empty, lend_names, name_mistake

B, T, V = 2, 3, 5
"""Windows, positions and vocabulary of the examples: three different numbers, so that no wrong axis fits by chance."""
MAX_NORM = 1.0
STEEP, FLAT = 10.0, 0.05
"""Factors that give gradients far above and far below `MAX_NORM`."""

NO_FLATTEN = (
    "F.cross_entropy takes one row of logits per prediction: flatten the logits from (B, T, V) to (B*T, V) and the "
    "targets from (B, T) to (B*T)."
)
WRONG_AXIS = (
    "the mean is taken over the wrong axis: the loss is one number, the mean over all B*T predictions, not over the "
    "windows or over the positions alone."
)
WRONG_SOFTMAX = (
    "the probabilities are taken over the wrong axis: they add up to one over the vocabulary, the last axis."
)


def check_loss(compute_loss: Callable[[Tensor, Tensor], Any]) -> None:
    """Say whether a function gives the mean cross-entropy over all predictions.

    Args:
        compute_loss: (logits float (B, T, V), targets int64 (B, T)) -> float scalar, nats per token.

    Raises:
        NotYet: what is wrong with its loss.
    """
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(B, T, V, generator=generator, requires_grad=True)
    targets = torch.randint(V, (B, T), generator=generator)
    shapes = {"Expected target size": NO_FLATTEN, "Expected input batch_size": NO_FLATTEN, "shape": NO_FLATTEN}
    loss = call_answer(compute_loss, logits, targets, known=shapes)
    if is_empty(loss):
        raise NotYet("the loss is still empty: write the mean cross-entropy of the logits against the targets.")
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        raise NotYet(
            "the loss is a plain number, and backward() needs the tensor with its history: leave out .item() and "
            ".detach() here."
        )
    if loss.dim():
        raise NotYet(f"your loss has the shape {tuple(loss.shape)}; {WRONG_AXIS}")
    right = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    if not is_close(loss, right):
        otherwise = f"for the example the loss is {right.item():.4f}, and yours is {loss.item():.4f}."
        raise name_mistake(loss, list_wrong_losses(logits, targets, right), otherwise)
    print(f"Right: one number, the mean over all {B} x {T} predictions of the example.")


def list_wrong_losses(logits: Tensor, targets: Tensor, right: Tensor) -> dict[str, list[Tensor]]:
    """What to say -> the losses that this mistake can give."""

    def mean(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    over_other_axes = [-logits.log_softmax(axis).gather(-1, targets[..., None]).mean() for axis in (0, 1)]
    return {
        WRONG_AXIS: [right * T, right * B],
        "the losses are summed, and the loss is their mean, which F.cross_entropy gives by itself.": [right * B * T],
        WRONG_SOFTMAX: over_other_axes,
        "only the last position is counted: every position predicts its next token, so all T count.": [
            mean(logits[:, -1:], targets[:, -1:])
        ],
        "the loss shifts the targets once more: the Dataset has shifted them already, so logits[:, t] goes with "
        "targets[:, t].": [mean(logits[:, :-1], targets[:, 1:])],
        "positions are left out: all T of them have a target, so none is cut off.": [
            mean(logits[:, 1:], targets[:, 1:]),
            mean(logits[:, :-1], targets[:, :-1]),
        ],
        "softmax is applied twice: F.cross_entropy takes the raw logits.": [mean(logits.softmax(-1), targets)],
        "the sign is wrong: the loss is minus the log-probability of the target.": [-right],
        "logits and targets are flattened in different orders, so predictions meet the targets of others.": [
            mean(logits.transpose(0, 1), targets),
            mean(logits, targets.t()),
        ],
    }


class TableModel(nn.Module):
    """A stand-in for the model: the logits of a token are a row of a table, times a factor that sets the gradient."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.table = nn.Parameter(torch.zeros(V, V))

    def forward(self, idx: Tensor) -> Tensor:
        """int64 (B, T) -> logits float (B, T, V)."""
        return self.factor * self.table[idx]


def check_train_step(train_step: Callable[..., Any]) -> None:
    """Say whether a training step clips the gradient's norm at 1.0, after backward and before the update.

    Args:
        train_step: (model, optimizer, x, y) -> (loss, norm of the gradient before it was clipped).

    Raises:
        NotYet: what is wrong with the step.
    """
    norm, true_norm, gradient, moved = try_step(train_step, STEEP)
    left = gradient.norm().item()
    if is_close(moved, MAX_NORM):
        check_kept(train_step, norm, true_norm)
        return
    if is_close(moved, 0.0):
        raise NotYet("the weights don't move: the step needs optimizer.step().")
    if is_empty(norm) and is_close(left, true_norm):
        raise NotYet("the clipping line is still empty: clip the gradients' norm at 1.0 between backward and step.")
    if is_close(left, MAX_NORM) and not is_close(moved, MAX_NORM):
        raise NotYet(
            "the gradient is clipped after the step: optimizer.step() has used the long one by then. Clip between "
            "loss.backward() and optimizer.step()."
        )
    if is_close(moved, gradient.norm()) and gradient.abs().max() <= MAX_NORM:
        raise NotYet(
            "every number of the gradient is cut by itself, which turns its direction: use clip_grad_norm_, which "
            "scales them all by the same factor, not clip_grad_value_."
        )
    if not is_empty(norm) and is_close(norm, 0.0):
        raise NotYet("the gradient is clipped before loss.backward(), when there is none yet: clip after it.")
    if is_close(moved, left):
        raise NotYet(f"the gradient is clipped at {moved:.3g}, and the lesson clips at a norm of {MAX_NORM}.")
    raise NotYet(f"a gradient of norm {true_norm:.3g} has to move the weights by {MAX_NORM}, and yours by {moved:.3g}.")


def try_step(train_step: Callable[..., Any], factor: float) -> tuple[Any, float, Tensor, float]:
    """One step at learning rate 1: the norm that it tells, the true norm, the gradient that is left, and how far the
    weights moved."""
    x, y = torch.zeros(B, T, dtype=torch.int64), torch.ones(B, T, dtype=torch.int64)
    model = TableModel(factor)
    unused = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    (true,) = torch.autograd.grad(unused, [model.table])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with lend_names(train_step):
        answer = call_answer(train_step, model, optimizer, x, y, known={})
    norm = answer[1] if isinstance(answer, tuple) and len(answer) == 2 else None
    gradient = torch.zeros_like(true) if model.table.grad is None else model.table.grad
    return norm, true.norm().item(), gradient, model.table.detach().norm().item()


def check_kept(train_step: Callable[..., Any], norm: Any, true_norm: float) -> None:
    """The rest of a step that clips: what it tells, and that it leaves short gradients alone."""
    if is_empty(norm) or not is_close(norm, true_norm):
        raise NotYet(
            "the step clips rightly, but the norm that it gives back is another: keep what clip_grad_norm_ returns, "
            "the norm before clipping."
        )
    _, short, _, moved = try_step(train_step, FLAT)
    if not is_close(moved, short):
        raise NotYet(
            f"a gradient of norm {short:.3g} moves the weights by {moved:.3g}: clipping shortens long gradients and "
            "leaves short ones as they are."
        )
    print(f"Right: a gradient of norm {true_norm:.3g} moves the weights as one of norm {MAX_NORM:g} would.")
