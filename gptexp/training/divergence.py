"""Finds where a number in training became non-finite."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Diverged(Exception):
    """The loss or the gradient norm is not finite. The run ends here, and this is its result."""

    def __init__(self, step: int, where: str) -> None:
        super().__init__(f"non-finite at step {step}: {where}")
        self.step = step
        self.where = where


def locate_in_forward(model: nn.Module, idx: Tensor) -> str:
    """Where a non-finite loss comes from: the first non-finite parameter, else the first module with such an output.

    Args:
        idx: int64 (B, T), the batch with the non-finite loss.
    """
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return f"parameter {name}"
    found: list[str] = []

    def note_output(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not found and isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
                found.append(name)

        return hook

    handles = [module.register_forward_hook(note_output(name)) for name, module in model.named_modules() if name]
    try:
        with torch.no_grad():
            model.hidden(idx)  # type: ignore[operator]
    finally:
        for handle in handles:
            handle.remove()
    return f"loss, output of {found[0]}" if found else "loss, in the output layer"


def locate_in_gradients(model: nn.Module) -> str:
    """The first parameter, in the order of the backward pass, whose gradient is not finite."""
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            return f"gradient of {name}"
    return "gradient norm"
