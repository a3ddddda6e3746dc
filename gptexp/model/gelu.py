"""GPT-2's GELU activation."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_THREADS = 2
"""With more threads than this, computing GELU is as fast as reading the table, which only one thread does."""


def gelu(x: Tensor) -> Tensor:
    """GPT-2's GELU, the tanh approximation; float of any shape. Source: Hendrycks & Gimpel, arXiv 1606.08415."""
    if torch.compiler.is_compiling():
        # (1 + tanh u) / 2 = sigmoid(2u). Compiled, either takes one pass, and on a CPU exp is faster than tanh.
        return x * torch.sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))
    if x.dtype == torch.bfloat16 and x.device.type == "cpu" and torch.get_num_threads() <= MOST_THREADS:
        return look_up_gelu(x)
    return F.gelu(x, approximate="tanh")


def look_up_gelu(x: Tensor) -> Tensor:
    """GELU of bf16 numbers, read from a table of all 65,536 of them: the same bits in half the time."""
    y: Tensor = _TableGelu.apply(x)  # type: ignore[no-untyped-call]
    return y


@functools.cache
def _make_tables() -> tuple[Tensor, Tensor]:
    """GELU, bf16 (65536,), and its derivative, float32 (65536,), of every bf16 number, indexed by its bit pattern."""
    x = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    wide = x.float()
    slopes = torch.ops.aten.gelu_backward(torch.ones_like(wide), wide, approximate="tanh")
    return F.gelu(x, approximate="tanh"), slopes


def _read(table: Tensor, x: Tensor) -> Tensor:
    places = x.reshape(-1).view(torch.uint16).to(torch.int32)
    return table.index_select(0, places).view(x.shape)


class _TableGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        with torch.no_grad():
            return _read(_make_tables()[0], x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        # Multiply in float32, then round once.
        return (_read(_make_tables()[1], x) * grad_outputs[0]).to(x.dtype)
