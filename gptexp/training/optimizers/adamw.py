"""AdamW as GPT-2's descendants use it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gptexp.config import OptimizerConfig
from gptexp.training.optimizer import split_by_decay, without_compiler


@without_compiler
class AdamW(torch.optim.AdamW):
    """Adam, with weight decay apart from the gradient: each step first shrinks a weight by its lr · weight_decay-th.

    Source: Loshchilov & Hutter, arXiv 1711.05101, algorithm 2.
    """

    def __init__(self, model: nn.Module, config: OptimizerConfig) -> None:
        groups = split_by_decay(model.parameters(), config.weight_decay)
        super().__init__(groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.eps, fused=True)

    def first_state(self, parameter: Tensor) -> dict[str, Tensor]:
        return zero_moments(parameter)


def zero_moments(parameter: Tensor) -> dict[str, Tensor]:
    """What Adam and AdamW know of a parameter before the first step: both running means, zero, and no step taken."""
    return {
        "step": torch.zeros((), device=parameter.device),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }
