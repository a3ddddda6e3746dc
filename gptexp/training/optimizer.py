"""AdamW as GPT-2's descendants use it, clipping on the way."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from gptexp.config import OptimizerConfig

CLIPPING_KERNELS = ("cpu", "cuda")
"""Devices whose fused AdamW is known to scale gradients and to leave out a step; others clip by themselves."""


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> AdamW:
    """AdamW with weight decay on matrices only: embeddings and linear weights, not biases and layer norms.

    Source: Loshchilov & Hutter, arXiv 1711.05101; the split by dimension follows nanoGPT `model.py`.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    return AdamW(groups, lr=config.lr, betas=betas, eps=config.eps, fused=True)


def make_moments(optimizer: AdamW) -> None:
    """What AdamW itself makes in its first step, made before that; nothing where it is there.

    By then the activations of a step have come and gone, and the moments would lie in the holes that they left, where
    no later activation fits: 70 MB at 124M. A resumed run has its moments from the checkpoint.
    """
    if optimizer.state:
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the learning rate `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def gradient_norm(model: nn.Module) -> Tensor:
    """Global L2 norm of all gradients, float32 scalar."""
    return torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])


def take_step(optimizer: AdamW, grad_norm: Tensor, max_norm: float | None, *, loss: Tensor) -> None:
    """One step of AdamW with gradients scaled down so that their global L2 norm is at most `max_norm`.

    On a CPU and on CUDA the fused kernel divides a gradient when it reads it, so clipping takes no pass of its own;
    afterwards `.grad` holds the clipped gradients. Where `grad_norm` or `loss` isn't finite nothing is changed, and
    nobody has to wait for a CUDA device to know that.

    Args:
        grad_norm: float32 scalar, of the gradients as they are.
        max_norm: None leaves them as they are.
        loss: float32 scalar that the gradients belong to.

    Source: Pascanu et al., arXiv 1211.5063, algorithm 1, with the 1e-6 of `torch.nn.utils.clip_grad_norm_`; the two
    attributes are how `torch.amp.GradScaler` speaks to a fused optimizer.
    """
    is_finite = torch.isfinite(grad_norm + loss)
    if grad_norm.device.type in CLIPPING_KERNELS:
        optimizer.grad_scale = None if max_norm is None else ((grad_norm + 1e-6) / max_norm).clamp(min=1.0)  # type: ignore[attr-defined]
        optimizer.found_inf = (~is_finite).float()  # type: ignore[attr-defined]
        optimizer.step()
        # They would act on a later step that somebody takes by hand.
        optimizer.grad_scale = optimizer.found_inf = None  # type: ignore[attr-defined]
    elif bool(is_finite):
        if max_norm is not None:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, grad_norm)
        optimizer.step()
