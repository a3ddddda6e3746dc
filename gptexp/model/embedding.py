"""The token embedding, with a sparse gradient on a CPU."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# PyTorch 2.11 and 2.12 say this once a process, though the check is named as off
# (github.com/pytorch/pytorch/pull/183256).
warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly disabled")


class TokenEmbedding(nn.Embedding):
    """Looks up a row of `weight`, float (V, C), for each token.

    On a CPU the gradient is sparse: a dense one would have a row for every token of the vocabulary, almost all of them
    zero. The output layer's gradient of the tied weight is dense, and the few rows of this one are added to it.
    """

    def forward(self, input: Tensor) -> Tensor:
        """int64 (B, T) -> float (B, T, C)."""
        # torch.compile doesn't support sparse gradients, and on a GPU the dense one is fast.
        if torch.compiler.is_compiling() or self.weight.device.type != "cpu":
            return F.embedding(input, self.weight)
        x: Tensor = _Embedding.apply(self.weight, input)  # type: ignore[no-untyped-call]
        return x


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, idx: Tensor) -> Tensor:
        ctx.idx, ctx.shape = idx, weight.shape
        return F.embedding(idx, weight)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        rows, places = torch.unique(ctx.idx, return_inverse=True)
        grad = grad_outputs[0]
        # Sum in the order of the tokens, as for the dense gradient, to get the same bits.
        sums = grad.new_zeros(len(rows), ctx.shape[1]).index_add_(0, places.flatten(), grad.flatten(0, -2))
        return torch.sparse_coo_tensor(rows[None], sums, ctx.shape, is_coalesced=True, check_invariants=False), None
