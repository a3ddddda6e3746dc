"""AdamW as GPT-2's descendants use it, and clipping that tells the norm before it clips."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gptexp.config import OptimizerConfig


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only: embeddings and linear weights, not biases and layer norms.

    Source: Loshchilov & Hutter, arXiv 1711.05101; the split by dimension follows nanoGPT `model.py`.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.eps, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the learning rate `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def clip_gradients(model: nn.Module, max_norm: float | None) -> Tensor:
    """Scale all gradients down so that their global L2 norm is at most `max_norm`; None leaves them as they are.

    Returns:
        float32 scalar: the norm before clipping. Not finite when a gradient isn't, and then nothing is scaled.

    Source: Pascanu et al., arXiv 1211.5063, algorithm 1.
    """
    grads = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads)
    if max_norm is not None and torch.isfinite(norm):
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), max_norm, norm)
    return norm
