"""What the training loop does with any optimizer: build it, make its state, set its rate, clip and take a step."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gptexp.config import OptimizerConfig
from gptexp.names import OPTIMIZERS

CLIPPING_KERNELS = ("cpu", "cuda")
"""Devices whose fused optimizers are known to scale gradients and to leave out a step; elsewhere, and for optimizers
that aren't fused, both happen before the step."""

AnyOptimizer = TypeVar("AnyOptimizer", bound=type[Optimizer])
KEPT_FROM_THE_COMPILER = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
"""Methods of torch's optimizers that import torch's compiler, to tell it to leave them alone."""

BuildOptimizer = Callable[[nn.Module, OptimizerConfig], Optimizer]
"""What a name in OPTIMIZERS stands for: (model, config) -> an optimizer of the model's parameters."""


@runtime_checkable
class MakesState(Protocol):
    """An optimizer that says what it remembers before the first step; others make that in their first step."""

    def first_state(self, parameter: Tensor) -> dict[str, Tensor]:
        """What it has in `state[parameter]` before its first step."""


def without_compiler(optimizer: AnyOptimizer) -> AnyOptimizer:
    """A class decorator: the same optimizer, which does not import `torch._dynamo` in its first step.

    Torch wraps methods of its optimizers for the sake of `torch.compile`, and a wrapper imports the compiler when it is
    first called: one second of each process. gptexp compiles models, never a step of an optimizer. Where a torch has
    no such wrapper, this changes nothing.
    """
    for name in KEPT_FROM_THE_COMPILER:
        setattr(optimizer, name, inspect.unwrap(getattr(optimizer, name)))
    # One of the wrappers turned gradients off.
    optimizer.step = torch.no_grad()(inspect.unwrap(optimizer.step))  # type: ignore[method-assign]
    return optimizer


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """The optimizer that the config names, for the parameters of `model` that take gradients.

    Raises:
        GptexpError: there is none of that name.
    """
    optimizer: Optimizer = OPTIMIZERS.make(config.optimizer, model, config)
    return optimizer


def split_by_decay(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: matrices, with weight decay (embeddings and linear weights), and biases and layer norms, without.

    Source: the split by dimension follows nanoGPT `model.py`.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def make_state(optimizer: Optimizer) -> None:
    """What an optimizer itself makes in its first step, made before that; nothing where it is there.

    By then the activations of a step have come and gone, and AdamW's moments would lie in the holes that they left,
    where no later activation fits: 70 MB at 124M. A resumed run has its state from the checkpoint.
    """
    if optimizer.state or not isinstance(optimizer, MakesState):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = optimizer.first_state(parameter)


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Give every parameter group the learning rate `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def gradient_norm(model: nn.Module) -> Tensor:
    """Global L2 norm of all gradients, float32 scalar."""
    return torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])


def take_step(optimizer: Optimizer, grad_norm: Tensor, max_norm: float | None, *, loss: Tensor) -> tuple[float, float]:
    """One step with gradients scaled down so that their global L2 norm is at most `max_norm`.

    Afterwards `.grad` holds the clipped gradients. Where `grad_norm` or `loss` isn't finite nothing is changed. A fused
    optimizer divides a gradient when it reads it, and leaves out the step by itself: clipping takes no pass of its own,
    and a CUDA device is busy with the step while it is waited for.

    Args:
        grad_norm: float32 scalar, of the gradients as they are.
        max_norm: None leaves them as they are.
        loss: float32 scalar that the gradients belong to.

    Returns:
        `loss` and `grad_norm` as numbers. To read them is the one moment of a step at which CUDA is waited for.

    Source: Pascanu et al., arXiv 1211.5063, algorithm 1, with the 1e-6 of `torch.nn.utils.clip_grad_norm_`; the three
    attributes are how `torch.amp.GradScaler` speaks to a fused optimizer.
    """
    if getattr(optimizer, "_step_supports_amp_scaling", False) and grad_norm.device.type in CLIPPING_KERNELS:
        optimizer.grad_scale = None if max_norm is None else ((grad_norm + 1e-6) / max_norm).clamp(min=1.0)  # type: ignore[attr-defined]
        optimizer.found_inf = (~torch.isfinite(grad_norm + loss)).float()  # type: ignore[attr-defined]
        optimizer.step()
        # They would act on a later step that somebody takes by hand.
        optimizer.grad_scale = optimizer.found_inf = None  # type: ignore[attr-defined]
        return _read_numbers(loss, grad_norm)
    numbers = _read_numbers(loss, grad_norm)
    if all(math.isfinite(number) for number in numbers):
        if max_norm is not None:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, grad_norm)
        optimizer.step()
    return numbers


def _read_numbers(loss: Tensor, grad_norm: Tensor) -> tuple[float, float]:
    read_loss, read_norm = torch.stack((loss, grad_norm)).tolist()
    return read_loss, read_norm
