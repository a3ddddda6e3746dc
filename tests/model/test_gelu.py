"""GELU from a table is GELU."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gptexp.model import gelu as module
from gptexp.model.gelu import gelu, look_up_gelu


def run(function: object, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = function(x)  # type: ignore[operator]
    y.backward(grad)
    assert x.grad is not None
    return y.detach(), x.grad


def test_every_number_has_the_bits_of_the_usual_kernel() -> None:
    """All 65,536 numbers of bf16, with an infinity and what is not a number: value and gradient are the same."""
    # Compiled code that was loaded earlier may have switched subnormal numbers off in this process.
    torch.set_flush_denormal(False)
    module._make_tables.cache_clear()
    x = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16).view(64, 1024)
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = run(look_up_gelu, x, grad)
    for own, usual in zip(found, run(lambda x: F.gelu(x, approximate="tanh"), x, grad), strict=True):
        assert own.dtype == torch.bfloat16
        assert own.shape == x.shape
        assert torch.equal(own.isnan(), usual.isnan())
        assert torch.equal(own.nan_to_num(), usual.nan_to_num())


def test_a_part_of_a_larger_tensor_is_read_too() -> None:
    """Memory need not be in one piece."""
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(look_up_gelu(x.t()), F.gelu(x.t(), approximate="tanh"))
    assert torch.equal(look_up_gelu(x[:, 2:4]), F.gelu(x[:, 2:4], approximate="tanh"))


@pytest.mark.parametrize(("dtype", "threads", "expected"), [("bf16", 1, 1), ("bf16", 3, 0), ("fp32", 1, 0)])
def test_the_table_is_for_bf16_and_few_threads(
    dtype: str, threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many threads compute as quickly; fp32 has too many numbers for a table."""
    seen = []
    monkeypatch.setattr(module, "look_up_gelu", lambda x: (seen.append(x), x)[1])
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    gelu(torch.zeros(3, dtype={"bf16": torch.bfloat16, "fp32": torch.float32}[dtype]))
    assert len(seen) == expected
