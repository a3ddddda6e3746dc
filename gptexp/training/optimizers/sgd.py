"""Stochastic gradient descent with momentum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gptexp.config import OptimizerConfig
from gptexp.training.optimizer import split_by_decay, without_compiler


@without_compiler
class SGD(torch.optim.SGD):
    """A weight moves by lr times a running sum of its gradients.

    `beta1` of the config is the momentum: the share of the sum that the next step keeps. At 0.9, steps in one direction
    become ten times as long. Weight decay is in the gradient, as an L2 penalty; `beta2` and `eps` aren't used.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", section 2, with
    the rate outside of the sum, as PyTorch has it.
    """

    def __init__(self, model: nn.Module, config: OptimizerConfig) -> None:
        groups = split_by_decay(model.parameters(), config.weight_decay)
        super().__init__(groups, lr=config.lr, momentum=config.beta1, fused=True)

    def first_state(self, parameter: Tensor) -> dict[str, Tensor]:
        """The sum, zero; without momentum there is none."""
        return {"momentum_buffer": torch.zeros_like(parameter)} if self.defaults["momentum"] else {}
