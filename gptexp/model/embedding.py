"""The token embedding, whose gradient names only the rows that were read."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TokenEmbedding(nn.Embedding):
    """A row of `weight`, float (V, C), for each token.

    The output layer's gradient of the tied weight is dense anyway; on a CPU the embedding's is added to the few rows
    that it concerns. A dense one would be as large as the vocabulary, and almost all zeros.
    """

    def forward(self, input: Tensor) -> Tensor:
        """int64 (B, T) -> float (B, T, C)."""
        # torch.compile has no way through a sparse gradient; GPUs are quick at the dense one.
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
        # In the order of the tokens, as the dense gradient is summed: to the same bits.
        sums = grad.new_zeros(len(rows), ctx.shape[1]).index_add_(0, places.flatten(), grad.flatten(0, -2))
        return torch.sparse_coo_tensor(rows[None], sums, ctx.shape, is_coalesced=True, check_invariants=False), None
