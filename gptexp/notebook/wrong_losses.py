"""Wrong answers to the exercise on the loss; each docstring names the mistake."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def loss_without_flatten(logits: Tensor, targets: Tensor) -> Tensor:
    """no flatten"""
    return F.cross_entropy(logits, targets)


def loss_with_flat_logits(logits: Tensor, targets: Tensor) -> Tensor:
    """only the logits flattened"""
    return F.cross_entropy(logits.flatten(0, 1), targets)


def loss_over_windows(logits: Tensor, targets: Tensor) -> Tensor:
    """mean over the windows only"""
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(0)


def loss_summed_over_positions(logits: Tensor, targets: Tensor) -> Tensor:
    """mean over the windows, sum over the positions"""
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").sum(1).mean()


def loss_summed(logits: Tensor, targets: Tensor) -> Tensor:
    """sum instead of mean"""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


def loss_over_wrong_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    """softmax over the positions"""
    return -logits.log_softmax(1).gather(-1, targets[..., None]).mean()


def loss_of_last_position(logits: Tensor, targets: Tensor) -> Tensor:
    """only the last position"""
    return F.cross_entropy(logits[:, -1], targets[:, -1])


def loss_shifted_twice(logits: Tensor, targets: Tensor) -> Tensor:
    """shifted once more"""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten())


def loss_with_cut_positions(logits: Tensor, targets: Tensor) -> Tensor:
    """positions cut off"""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, :-1].flatten())


def loss_of_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    """softmax twice"""
    return F.cross_entropy(logits.softmax(-1).flatten(0, 1), targets.flatten())


def loss_with_wrong_sign(logits: Tensor, targets: Tensor) -> Tensor:
    """wrong sign"""
    return logits.log_softmax(-1).gather(-1, targets[..., None]).mean()


def loss_in_other_order(logits: Tensor, targets: Tensor) -> Tensor:
    """flattened in different orders"""
    return F.cross_entropy(logits.transpose(0, 1).flatten(0, 1), targets.flatten())


def loss_as_number(logits: Tensor, targets: Tensor) -> float:
    """.item() too early"""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
