"""Adam as it was before AdamW."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gptexp.config import OptimizerConfig
from gptexp.training.optimizer import split_by_decay, without_compiler
from gptexp.training.optimizers.adamw import zero_moments


@without_compiler
class Adam(torch.optim.Adam):
    """Adam, with weight decay in the gradient: weight_decay · weight is added to it, as if the loss had an L2 penalty.

    What is added is divided by the running scale of the gradient like all else, so that weights with large gradients
    decay less than others. It is added behind the clipping, which sees the gradient of the loss alone.

    Source: Kingma & Ba, arXiv 1412.6980; the L2 penalty: Loshchilov & Hutter, arXiv 1711.05101, algorithm 2.
    """

    def __init__(self, model: nn.Module, config: OptimizerConfig) -> None:
        groups = split_by_decay(model.parameters(), config.weight_decay)
        super().__init__(groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.eps, fused=True)

    def first_state(self, parameter: Tensor) -> dict[str, Tensor]:
        return zero_moments(parameter)
