"""Muon for the matrices inside, AdamW for the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gptexp.config import OptimizerConfig
from gptexp.training.optimizer import split_by_decay, without_compiler
from gptexp.training.optimizers.adamw import zero_moments

MOMENTUM = 0.95
"""Share of the past in the running mean of the gradients. Source: torch.optim.Muon, as Jordan has it."""


@without_compiler
class TorchMuon(torch.optim.Muon):
    """Torch's Muon, for matrices alone."""


@without_compiler
class TorchAdamW(torch.optim.AdamW):
    """Torch's AdamW, for groups of parameters."""


@without_compiler
class Muon(torch.optim.Optimizer):
    """Weights of linear layers move along their momentum made orthogonal; embeddings, biases and norms as in AdamW.

    The output layer is the token embedding (tied), so no linear layer reads tokens or gives logits. Queries, keys and
    values are one matrix, and made orthogonal as one. Both parts take `lr` and `weight_decay` as they are: Muon's step
    is scaled by 0.2 · sqrt(max(rows, columns)), which makes it about as long as a step of AdamW. `beta1`, `beta2` and
    `eps` are AdamW's.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the scale: Liu et al., arXiv 2502.16982,
    equation 4.
    """

    def __init__(self, model: nn.Module, config: OptimizerConfig) -> None:
        linear = {module.weight for module in model.modules() if isinstance(module, nn.Linear)}
        hidden = [parameter for parameter in model.parameters() if parameter in linear and parameter.requires_grad]
        others = split_by_decay((p for p in model.parameters() if p not in linear), config.weight_decay)
        self._muon = TorchMuon(
            [{"params": hidden}],
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=MOMENTUM,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = TorchAdamW(others, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.eps, fused=True)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], defaults={})
        # One memory for both: what is read from a checkpoint is there for the part that needs it.
        self._muon.state = self._adamw.state = self.state
        self._hidden = set(hidden)

    def first_state(self, parameter: Tensor) -> dict[str, Tensor]:
        """Muon's running mean, or AdamW's two and its count of steps; all zero."""
        return (
            {"momentum_buffer": torch.zeros_like(parameter)} if parameter in self._hidden else zero_moments(parameter)
        )

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Both parts' step."""
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adamw.step()
