"""Cross-entropy of a linear layer, without ever holding all its logits.

GPT-2's vocabulary makes the logits the largest tensor of a training step: 8 x 128 tokens are 206 MB in fp32, written
and read several times. Here a slice of tokens goes through logits, loss and gradients while it is in a buffer that is
kept from step to step, so memory does not grow with the number of tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SLICE_ELEMENTS = {"cpu": 2**24, "cuda": 2**28}
"""Logits held at once, by device type. On a CPU 64 MiB in fp32: larger slices were no faster."""


class LogitsBuffer:
    """Memory for one slice of logits, allocated once: the first touch of new pages costs more than the arithmetic."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def take(self, rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Uninitialised `dtype (rows, columns)`; valid until the next call with the same dtype."""
        held = self._buffers.get((dtype, device))
        if held is None or held.numel() < rows * columns:
            held = self._buffers[dtype, device] = torch.empty(rows * columns, dtype=dtype, device=device)
        return held[: rows * columns].view(rows, columns)


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, buffer: LogitsBuffer | None = None) -> Tensor:
    """Mean cross-entropy of `softmax(hidden @ weight.T)` against `targets`, in nats per token.

    Equal to `F.cross_entropy(hidden @ weight.T, targets)` up to float rounding; gradients are computed slice by slice
    in the forward pass, and scaled in the backward pass.

    Args:
        hidden: float (N, C), fp32 or bf16; bf16 multiplies in bf16 and sums in fp32.
        weight: float (V, C), cast to the dtype of `hidden`.
        targets: int64 (N,), values in [0, V).
        buffer: memory to reuse between calls.

    Returns:
        float32 scalar.
    """
    if not torch.is_grad_enabled():
        # Inside the function they would still ask for gradients: three times the work of an evaluation.
        hidden, weight = hidden.detach(), weight.detach()
    loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, buffer or LogitsBuffer())  # type: ignore[no-untyped-call]
    return loss


def slice_rows(vocab_size: int, device_type: str) -> int:
    """Tokens whose logits are held at once."""
    return max(16, SLICE_ELEMENTS.get(device_type, 2**24) // vocab_size)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, buffer: LogitsBuffer) -> Tensor:
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        tokens, vocab_size = hidden.shape[0], weight.shape[0]
        compute_weight = weight.to(hidden.dtype)
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        # The weight's gradient is summed in its own precision over all slices.
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        rows = slice_rows(vocab_size, hidden.device.type)
        for start in range(0, tokens, rows):
            part = slice(start, min(start + rows, tokens))
            log_probs = _log_probs(hidden[part], compute_weight, buffer)
            picked = targets[part, None]
            total -= log_probs.gather(1, picked).sum()
            if not (needs_hidden or needs_weight):
                continue
            # d loss / d logits = softmax - one-hot
            grad_logits = log_probs.exp_()
            grad_logits.scatter_add_(1, picked, grad_logits.new_full((1, 1), -1.0).expand(picked.shape))
            grad_logits = grad_logits.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad_logits, compute_weight, out=grad_hidden[part])
            if grad_weight is not None:
                _add_product(grad_weight, grad_logits, hidden[part])
        ctx.tokens = tokens
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total / tokens

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = grad_outputs[0] / ctx.tokens
        # In place: the gradients were made for this one backward pass, and 25 MB of new memory cost more than the sum.
        return (
            None if grad_hidden is None else grad_hidden.mul_(scale.to(grad_hidden.dtype)),
            None if grad_weight is None else grad_weight.mul_(scale),
            None,
            None,
        )


def _log_probs(hidden: Tensor, weight: Tensor, buffer: LogitsBuffer) -> Tensor:
    """float32 (rows, V), in the buffer."""
    out = buffer.take(hidden.shape[0], weight.shape[0], torch.float32, hidden.device)
    if hidden.dtype == torch.float32:
        torch.mm(hidden, weight.t(), out=out)
    else:
        low = buffer.take(hidden.shape[0], weight.shape[0], hidden.dtype, hidden.device)
        out.copy_(torch.mm(hidden, weight.t(), out=low))
    # Writing over its own input is sound: each row is read whole before it is written.
    torch.log_softmax(out, -1, out=out)
    return out


def _add_product(grad_weight: Tensor, grad_logits: Tensor, hidden: Tensor) -> None:
    """grad_weight += grad_logits.T @ hidden."""
    if grad_weight.dtype == grad_logits.dtype:
        grad_weight.addmm_(grad_logits.t(), hidden)
    else:
        grad_weight.add_(torch.mm(grad_logits.t(), hidden))
