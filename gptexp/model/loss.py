"""Cross-entropy of a linear layer, computed slice by slice so that the logits are never all in memory.

With GPT-2's vocabulary the logits are the largest tensor of a training step: for 8 x 128 tokens 206 MB in fp32, written
and read several times. Here one slice of tokens after the other goes through logits, loss and gradients in a buffer
that is reused from step to step, so memory does not grow with the number of tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SLICE_ELEMENTS = {"cpu": 2**24, "cuda": 2**28}
"""Logits per slice, by device type. On a CPU these are 64 MiB in fp32; larger slices were not faster."""
MORE_IN_BF16 = 2
"""Factor for bf16, where the same memory holds twice as many logits."""

ALIGNMENT = {"cuda": 64}
"""Rows of bf16 logits are padded to a multiple of this, by device type. GPUs read a matrix fast if its rows begin at
aligned addresses, which rows of 50,257 numbers don't. The weights of the padding are zero, and so are its logits and
gradients.

Source: karpathy/nanoGPT, train.py, which pads the vocabulary itself to 50,304 for this reason.
"""

BLOCK_COLUMNS = {torch.float32: 4096, torch.bfloat16: 2048}
"""Columns of logits per block on a CPU, by dtype."""
SMALLEST_SUM, LARGEST_SUM = 1e-30, 1e30
"""Between these bounds exp(logit), its sum over the vocabulary and their ratios are exact up to float32 rounding."""


class LogitsBuffer:
    """Reusable memory for one slice of logits: touching newly allocated pages costs more than the arithmetic."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def take(self, rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Uninitialised `dtype (rows, columns)`; valid until the next call with the same dtype."""
        held = self._buffers.get((dtype, device))
        if held is None or held.numel() < rows * columns:
            held = self._buffers[dtype, device] = torch.empty(rows * columns, dtype=dtype, device=device)
        return held[: rows * columns].view(rows, columns)


Softmax = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""The type of `softmax_and_gradient` and of its compiled form."""


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    buffer: LogitsBuffer | None = None,
    softmax: Softmax | None = None,
) -> Tensor:
    """Mean cross-entropy of `softmax(hidden @ weight.T)` against `targets`, in nats per token.

    Equal to `F.cross_entropy(hidden @ weight.T, targets)` up to float rounding. The gradients are computed slice by
    slice in the forward pass and only scaled in the backward pass.

    Args:
        hidden: float (N, C), fp32 or bf16; with bf16, products are bf16 and sums fp32.
        weight: float (V, C), cast to the dtype of `hidden`.
        targets: int64 (N,), values in [0, V).
        buffer: memory to reuse between calls.
        softmax: `softmax_and_gradient` or its compiled form; None works in place, which needs less memory.

    Returns:
        float32 scalar.
    """
    if not torch.is_grad_enabled():
        # Inside an autograd.Function they would still require gradients, which would triple an evaluation's work.
        hidden, weight = hidden.detach(), weight.detach()
    arguments = (hidden, weight, targets, buffer or LogitsBuffer(), softmax)
    loss: Tensor = _LinearCrossEntropy.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss


def softmax_and_gradient(logits: Tensor, targets: Tensor, vocab_size: int) -> tuple[Tensor, Tensor]:
    """The summed loss of some tokens and its gradient. Written for torch.compile, which fuses it into few passes.

    Args:
        logits: float (N, P); the columns from `vocab_size` on are padding.
        targets: int64 (N,), values in [0, vocab_size).

    Returns:
        float32 scalar, and softmax - one-hot, (N, P) in the dtype of `logits`, zero from column `vocab_size` on.
    """
    columns = torch.arange(logits.shape[1], device=logits.device)
    log_probs = logits.float().masked_fill(columns >= vocab_size, float("-inf")).log_softmax(-1)
    picked = targets[:, None]
    gradient = log_probs.exp() - (columns == picked).float()
    return -log_probs.gather(1, picked).sum(), gradient.to(logits.dtype)


def slice_rows(vocab_size: int, device_type: str, dtype: torch.dtype) -> int:
    """Tokens per slice: a multiple of 16, for which matrix products are fast."""
    elements = SLICE_ELEMENTS.get(device_type, 2**24)
    if device_type == "cpu" and dtype == torch.bfloat16:
        elements *= MORE_IN_BF16
    return max(16, elements // vocab_size // 16 * 16)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, buffer: LogitsBuffer, softmax: Softmax | None
    ) -> Tensor:
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        tokens, vocab_size = hidden.shape[0], weight.shape[0]
        sums = _Sums(
            weight,
            _align(weight.to(hidden.dtype)),
            torch.empty_like(hidden, dtype=torch.float32) if needs_hidden else None,
            # The weight's gradient is summed over all slices in the weight's dtype; the first slice overwrites it.
            torch.empty_like(weight) if needs_weight else None,
            buffer,
            softmax,
        )
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        rows = slice_rows(vocab_size, hidden.device.type, hidden.dtype)
        for start in range(0, tokens, rows):
            part = slice(start, min(start + rows, tokens))
            total += sums.add_slice(part, hidden[part], targets[part])
        ctx.tokens, ctx.dtype = tokens, hidden.dtype
        ctx.gradients = (sums.grad_hidden, sums.grad_weight)
        return total / tokens

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        # Drop the other reference to the gradients, so that autograd can add the embedding's gradient in place.
        (grad_hidden, grad_weight), ctx.gradients = ctx.gradients, None
        scale = grad_outputs[0] / ctx.tokens
        # Scale in place: the gradients are used only here, and allocating 25 MB costs more than the arithmetic.
        return (
            None if grad_hidden is None else grad_hidden.mul_(scale).to(ctx.dtype),
            None if grad_weight is None else grad_weight.mul_(scale),
            None,
            None,
            None,
        )


@dataclass
class _Sums:
    """Sums over the slices: the gradients of the summed loss by the hidden states and by the weight."""

    weight: Tensor
    """float (V, C)"""
    compute_weight: Tensor
    """`weight` in the dtype of the hidden states, padded with rows of zeros to the device's `ALIGNMENT`."""
    grad_hidden: Tensor | None
    """float32 (N, C), or None if it isn't needed."""
    grad_weight: Tensor | None
    """Shape and dtype of `weight`, or None if it isn't needed."""
    buffer: LogitsBuffer
    softmax: Softmax | None

    def add_slice(self, part: slice, hidden: Tensor, targets: Tensor) -> Tensor:
        """Add the gradients of the tokens `part`; returns the sum of their losses, float32 scalar."""
        in_blocks = hidden.device.type == "cpu" and len(self.weight) > BLOCK_COLUMNS.get(hidden.dtype, sys.maxsize)
        loss = self._add_blocks(part, hidden, targets) if in_blocks else None
        return self._add_softmax(part, hidden, targets) if loss is None else loss

    def _add_blocks(self, part: slice, hidden: Tensor, targets: Tensor) -> Tensor | None:
        """The fast method on a CPU: blocks of the vocabulary that fit into the processor's cache.

        The maximum isn't subtracted before exp(logits), because with GPT-2's init the logits stay within the range of a
        float in all models but diverging ones. The division by the sum is applied to the small matrices instead. The
        target is kept apart from the rest of the vocabulary: with e its exponential and r the sum of all others, the
        loss is log(1 + r / e) and softmax - 1 is -r / (e + r). Both are exact even if the model is very certain.

        In bf16 the products and the exponentials are bf16, and all sums are float32.

        Returns:
            The summed loss; None if a number left the range. Then the gradients are unchanged, except for this slice of
            `grad_hidden`.
        """
        grad_hidden = None if self.grad_hidden is None else self.grad_hidden[part].zero_()
        weight, plain_hidden = self.compute_weight, hidden.float()
        target_weights = weight.index_select(0, targets).float()
        target_exps = (plain_hidden * target_weights).sum(1, keepdim=True).exp_()
        rest = plain_hidden.new_zeros(1, len(hidden))
        blocks = []
        for columns, here, block in self._take_blocks(targets):
            torch.mm(weight[columns], hidden.t(), out=block).exp_()
            block[targets[here] - columns.start, here] = 0
            rest += block.sum(0, keepdim=True, dtype=torch.float32)
            if not bool((rest < LARGEST_SUM).all()):
                return None
            if grad_hidden is not None:
                _add_product(grad_hidden, block.t(), weight[columns], is_first=False)
            blocks.append((columns, block))
        others = rest.t()
        if not bool(((target_exps > SMALLEST_SUM) & (target_exps < LARGEST_SUM)).all()):
            return None
        sums = target_exps + others
        if grad_hidden is not None:
            grad_hidden.addcmul_(others, target_weights, value=-1).div_(sums)
        if self.grad_weight is not None:
            scaled = plain_hidden / sums
            compute_scaled = scaled.to(hidden.dtype)
            for columns, block in blocks:
                _add_product(self.grad_weight[columns], block, compute_scaled, is_first=part.start == 0)
            self.grad_weight.index_add_(0, targets, scaled * others, alpha=-1)
        return torch.log1p(others / target_exps).sum()

    def _take_blocks(self, targets: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """The blocks of the vocabulary.

        Yields:
            The block's columns, the tokens whose target is among them, and float (columns, tokens) memory in the dtype
            of the hidden states. Each block has its own memory if the weight's gradient reads it again; else all blocks
            share the same memory.
        """
        weight, keeps = self.compute_weight, self.grad_weight is not None
        vocab_size, width = len(weight), BLOCK_COLUMNS[weight.dtype]
        held = self.buffer.take(vocab_size if keeps else width, len(targets), weight.dtype, weight.device)
        starts = range(0, vocab_size, width)
        in_order, tokens = targets.sort(stable=True)
        counts = torch.bincount(in_order // width, minlength=len(starts)).tolist()
        for start, here in zip(starts, torch.split(tokens, counts), strict=True):
            columns = slice(start, min(start + width, vocab_size))
            yield columns, here, held[columns] if keeps else held[: columns.stop - start]

    def _add_softmax(self, part: slice, hidden: Tensor, targets: Tensor) -> Tensor:
        """The general method, for every device, dtype and size of logits: a log-softmax over whole rows."""
        rows, device, vocab_size = len(hidden), hidden.device, len(self.weight)
        logits = self.buffer.take(rows, len(self.compute_weight), hidden.dtype, device)
        torch.mm(hidden, self.compute_weight.t(), out=logits)
        if self.softmax is not None:
            loss, grad_logits = self.softmax(logits, targets, vocab_size)
            self._add_gradients(part, hidden, grad_logits)
            return loss
        words = logits[:, :vocab_size]
        if logits.dtype != torch.float32:
            words = self.buffer.take(rows, vocab_size, torch.float32, device).copy_(words)
        # Writing over the input is safe: each row is read completely before it is written.
        torch.log_softmax(words, -1, out=words)
        picked = targets[:, None]
        loss = -words.gather(1, picked).sum()
        if self.grad_hidden is None and self.grad_weight is None:
            return loss
        # d loss / d logits = softmax - one-hot
        words.exp_().scatter_add_(1, picked, words.new_full((1, 1), -1.0).expand(picked.shape))
        if logits.dtype != torch.float32:
            logits[:, :vocab_size].copy_(words)
        self._add_gradients(part, hidden, logits)
        return loss

    def _add_gradients(self, part: slice, hidden: Tensor, grad_logits: Tensor) -> None:
        """Add both gradients, given that of the logits, (rows, len(compute_weight)) in the dtype of `hidden`."""
        if self.grad_hidden is not None:
            _add_product(self.grad_hidden[part], grad_logits, self.compute_weight, is_first=True)
        if self.grad_weight is not None:
            _add_product(self.grad_weight, grad_logits.t(), hidden, is_first=part.start == 0)


def _align(weight: Tensor) -> Tensor:
    """(V, C) padded with rows of zeros, so that rows of logits have a length that the device reads fast."""
    alignment = ALIGNMENT.get(weight.device.type, 1) if weight.dtype == torch.bfloat16 else 1
    missing = -len(weight) % alignment
    return F.pad(weight, (0, 0, 0, missing)) if missing else weight


def _add_product(total: Tensor, left: Tensor, right: Tensor, *, is_first: bool) -> None:
    """total += left @ right, or total = left @ right if `is_first`. The sum is computed in the dtype of `total`.

    Args:
        total: float (n, m).
        left, right: float (n', k) and (k, m) of the same dtype, n' >= n; rows of the product from n on are left out.
    """
    if total.dtype != left.dtype:
        product = torch.mm(left, right)[: len(total)]
        total.copy_(product) if is_first else total.add_(product)
    elif is_first:
        torch.mm(left, right, out=total)
    else:
        total.addmm_(left, right)
