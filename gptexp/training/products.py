"""The matrix products of a training step alone, with its shapes and dtype: a lower bound for its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gptexp.config import ModelConfig, RunConfig
from gptexp.model.loss import slice_rows

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Product = Callable[[], object]


class StepProducts:
    """All matrix products of one step, forward and backward, with operands that are allocated once.

    Attention counts as causal, with half of the scores. Everything else in a step comes on top: softmax, norms, GELU,
    the optimizer, memory allocation.
    """

    def __init__(self, config: RunConfig) -> None:
        self._device = torch.device(config.device)
        self._dtype = DTYPES[config.precision]
        self._tokens = config.batch_size * config.block_size
        width = config.n_embd
        layer = [
            *self._linear(width, 3 * width),
            *self._attention(config, config.batch_size, config.block_size),
            *self._linear(width, width),
            *self._linear(width, 4 * width),
            *self._linear(4 * width, width),
        ]
        assert config.vocab_size is not None
        self._products = [*layer * config.n_layer, *self._output_layer(width, config.vocab_size)]

    def time_once(self) -> float:
        """Seconds for all products, one after the other."""
        self._synchronize()
        started = time.perf_counter()
        for multiply in self._products:
            multiply()
        self._synchronize()
        return time.perf_counter() - started

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def _draw(self, *shape: int) -> Tensor:
        return 0.02 * torch.randn(*shape, device=self._device).to(self._dtype)

    def _linear(self, n_in: int, n_out: int) -> list[Product]:
        """Products for the output, the gradient of the input and the gradient of the weight of a linear layer."""
        x, weight, y = self._draw(self._tokens, n_in), self._draw(n_out, n_in), self._draw(self._tokens, n_out)
        grad_x, grad_weight, grad_y = torch.empty_like(x), torch.empty_like(weight), self._draw(self._tokens, n_out)
        return [
            lambda: torch.mm(x, weight.t(), out=y),
            lambda: torch.mm(grad_y, weight, out=grad_x),
            lambda: torch.mm(grad_y.t(), x, out=grad_weight),
        ]

    def _attention(self, config: ModelConfig, windows: int, length: int) -> list[Product]:
        """Products for scores and output, and for the gradients of queries, keys, values and attention weights."""
        heads, seen = windows * config.n_head, max(1, length // 2)
        queries, keys = (self._draw(heads, n, config.n_embd // config.n_head) for n in (length, seen))
        weights, by_query, by_key = self._draw(heads, length, seen), torch.empty_like(queries), torch.empty_like(keys)
        return [
            lambda: torch.bmm(queries, keys.mT, out=weights),
            lambda: torch.bmm(weights, keys, out=by_query),
            lambda: torch.bmm(weights.mT, queries, out=by_key),
            lambda: torch.bmm(queries, keys.mT, out=weights),
            lambda: torch.bmm(weights, keys, out=by_query),
            lambda: torch.bmm(weights.mT, queries, out=by_key),
        ]

    def _output_layer(self, width: int, vocab_size: int) -> list[Product]:
        """Products for the logits and both gradients, slice by slice as in `gptexp.model.loss`."""
        hidden, weight = self._draw(self._tokens, width), self._draw(vocab_size, width)
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        rows = min(self._tokens, slice_rows(vocab_size, self._device.type, self._dtype))
        logits = torch.empty(rows, vocab_size, dtype=self._dtype, device=self._device)

        def multiply_slice(part: slice) -> None:
            here = logits[: hidden[part].shape[0]]
            torch.mm(hidden[part], weight.t(), out=here)
            torch.mm(here, weight, out=grad_hidden[part])
            # Overwrite instead of adding: it costs the same and keeps the numbers small.
            torch.mm(here.t(), hidden[part], out=grad_weight)

        return [partial(multiply_slice, slice(start, start + rows)) for start in range(0, self._tokens, rows)]
