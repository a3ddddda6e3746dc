"""Causal attention in bf16 on a CPU, as a few large matrix products.

PyTorch's own attention splits bf16 on a CPU into small pieces, and its backward pass is slow. For 4 x 256 tokens with
12 heads of width 64, forward and backward take 48 ms there and 19 ms here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LONGEST = 512
"""Longest window, in tokens, for this attention: it stores whole weight matrices, which grow quadratically."""
SPLIT_FROM = 256
"""From this many tokens on the queries are processed in two halves, so that the earlier half skips the keys that it
can't see. For shorter windows the additional, smaller products cost more than they save."""


def attend(qkv: Tensor, n_head: int, *, keeps_weights: bool) -> Tensor:
    """Causal multi-head attention: each position attends to itself and all earlier positions.

    Products, attention weights and their gradients are bf16; the products accumulate in float32.

    Args:
        qkv: bf16 (B, T, 3C), queries, keys and values concatenated.
        keeps_weights: keep the attention weights for the backward pass, which otherwise recomputes the same bits.

    Returns:
        bf16 (B, T, C).
    """
    y: Tensor = _Attention.apply(qkv, n_head, keeps_weights)  # type: ignore[no-untyped-call]
    return y


def takes_products(qkv: Tensor, dropout: float) -> bool:
    """Whether `attend` supports this case: bf16 on a CPU, 2 to `LONGEST` tokens, no dropout, not compiled."""
    return (
        qkv.dtype == torch.bfloat16
        and qkv.device.type == "cpu"
        and 1 < qkv.shape[1] <= LONGEST
        and dropout == 0
        and not torch.compiler.is_compiling()
    )


def _split_queries(tokens: int) -> list[slice]:
    """The ranges of queries that are processed together; each range reads the keys up to its own end."""
    middle = tokens // 2
    return [slice(0, middle), slice(middle, tokens)] if tokens >= SPLIT_FROM else [slice(0, tokens)]


def _weigh(q: Tensor, k: Tensor, rows: slice) -> Tensor:
    """Attention weights of the queries in `rows`: bf16 (B * n_head, rows, rows.stop), each row sums to 1."""
    n_rows = rows.stop - rows.start
    mask = torch.full((n_rows, rows.stop), float("-inf"), dtype=q.dtype).triu_(rows.start + 1)
    scores = torch.baddbmm(mask, q[:, rows], k[:, : rows.stop].mT, alpha=q.shape[-1] ** -0.5)
    return torch.softmax(scores, -1)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, n_head: int, keeps_weights: bool) -> Tensor:
        heads = _divide(qkv, 3, n_head)
        q, k, v = heads
        y = torch.empty_like(q)
        kept = []
        for rows in _split_queries(q.shape[1]):
            weights = _weigh(q, k, rows)
            y[:, rows] = torch.bmm(weights, v[:, : rows.stop])
            kept.append(weights)
        ctx.save_for_backward(heads, *(kept if keeps_weights else ()))
        return _join(y[None], len(qkv))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        heads, *kept = ctx.saved_tensors
        q, k, v = heads
        windows = len(grad_outputs[0])
        (grad_y,) = _divide(grad_outputs[0], 1, len(q) // windows)
        grads = torch.empty_like(heads)
        grad_q, grad_k, grad_v = grads
        scale = q.shape[-1] ** -0.5
        parts = _split_queries(q.shape[1])
        # The last range reads all keys, so its gradients initialise the sums; those of the others are added.
        for number, rows in reversed(list(enumerate(parts))):
            weights = kept[number] if kept else _weigh(q, k, rows)
            seen, is_first = slice(0, rows.stop), number == len(parts) - 1
            grad_weights = torch.bmm(grad_y[:, rows], v[:, seen].mT)
            grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype).mul_(scale)
            grad_q[:, rows] = torch.bmm(grad_scores, k[:, seen])
            _add(grad_k[:, seen], torch.bmm(grad_scores.mT, q[:, rows]), is_first=is_first)
            _add(grad_v[:, seen], torch.bmm(weights.mT, grad_y[:, rows]), is_first=is_first)
        return _join(grads, windows), None, None


def _add(total: Tensor, addend: Tensor, *, is_first: bool) -> None:
    total.copy_(addend) if is_first else total.add_(addend)


def _divide(x: Tensor, parts: int, n_head: int) -> Tensor:
    """(B, T, parts * C) -> (parts, B * n_head, T, C / n_head), contiguous."""
    B, T, width = x.shape
    return x.view(B, T, parts, n_head, width // (parts * n_head)).permute(2, 0, 3, 1, 4).flatten(1, 2).contiguous()


def _join(heads: Tensor, windows: int) -> Tensor:
    """The inverse of `_divide`: (parts, B * n_head, T, C / n_head) -> (B, T, parts * C)."""
    parts, rows, T, size = heads.shape
    return heads.view(parts, windows, rows // windows, T, size).permute(1, 3, 0, 2, 4).reshape(windows, T, -1)
