"""Attention in bf16 by matrix products is that of the textbook, rounded."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gptexp.config import ModelConfig
from gptexp.model import attention, gpt
from gptexp.model.attention import SPLIT_FROM, attend, takes_products
from gptexp.model.gpt import GPT

TINY = ModelConfig(vocab_size=64, n_layer=2, n_head=2, n_embd=32, block_size=16)


def make_qkv(tokens: int, width: int = 32) -> tuple[Tensor, Tensor]:
    """bf16 queries, keys and values of 2 windows, and a gradient of what comes out."""
    generator = torch.Generator().manual_seed(tokens)
    qkv = torch.randn(2, tokens, 3 * width, generator=generator).bfloat16()
    return qkv, torch.randn(2, tokens, width, generator=generator).bfloat16()


def run_attention(qkv: Tensor, grad: Tensor, *, keeps_weights: bool) -> tuple[Tensor, Tensor]:
    x = qkv.clone().requires_grad_()
    y = attend(x, 2, keeps_weights=keeps_weights)
    y.backward(grad)
    assert x.grad is not None
    return y.detach(), x.grad


def run_reference(qkv: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """The same in float64."""
    x = qkv.double().requires_grad_()
    q, k, v = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in x.chunk(3, dim=-1))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    y.backward(grad.double())
    assert x.grad is not None
    return y.detach(), x.grad


@pytest.mark.parametrize("keeps_weights", [True, False])
@pytest.mark.parametrize("tokens", [2, 7, 64, SPLIT_FROM - 1, SPLIT_FROM, SPLIT_FROM + 1])
def test_equals_float64_but_for_roundings(tokens: int, keeps_weights: bool) -> None:
    """Outputs and gradients are within the roundings to bf16 of scores, weights and results: each 2^-8 at most, 2^-9 on
    average and independent, so that a percent of the norm is never reached.
    """
    qkv, grad = make_qkv(tokens)
    for found, exact in zip(
        run_attention(qkv, grad, keeps_weights=keeps_weights), run_reference(qkv, grad), strict=True
    ):
        assert found.dtype == torch.bfloat16
        assert (found.double() - exact).norm() < 0.01 * exact.norm()


@pytest.mark.parametrize("tokens", [16, SPLIT_FROM])
def test_weights_that_are_computed_again_change_no_bit(tokens: int) -> None:
    """What a large model does to save memory gives the same gradients."""
    qkv, grad = make_qkv(tokens)
    kept, again = (run_attention(qkv, grad, keeps_weights=keeps) for keeps in (True, False))
    assert torch.equal(kept[0], again[0])
    assert torch.equal(kept[1], again[1])


@pytest.mark.parametrize("tokens", [16, SPLIT_FROM])
def test_no_position_sees_the_future(tokens: int) -> None:
    """What position t becomes follows from the positions up to t alone, to the bit."""
    qkv, grad = make_qkv(tokens)
    before, _ = run_attention(qkv, grad, keeps_weights=True)
    for t in (3, tokens // 2, tokens - 1):
        changed = qkv.clone()
        changed[:, t:] += 1
        after, _ = run_attention(changed, grad, keeps_weights=True)
        assert torch.equal(before[:, :t], after[:, :t])
        assert not torch.equal(before[:, t:], after[:, t:])


def test_other_cases_go_another_way() -> None:
    """fp32, dropout, contexts whose matrices would be large, and a single token are left to PyTorch."""
    qkv, _ = make_qkv(16)
    assert takes_products(qkv, 0.0)
    assert not takes_products(qkv.float(), 0.0)
    assert not takes_products(qkv, 0.1)
    assert not takes_products(qkv[:, :1], 0.0)
    assert not takes_products(qkv.new_empty(1, attention.LONGEST + 1, 96), 0.0)


def test_a_model_in_bf16_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training in bf16 goes through it, once a layer, and stays near fp32."""
    seen = []

    def note(qkv: Tensor, n_head: int, *, keeps_weights: bool) -> Tensor:
        seen.append(keeps_weights)
        return attend(qkv, n_head, keeps_weights=keeps_weights)

    monkeypatch.setattr(gpt, "attend", note)
    model = GPT(TINY, seed=0)
    idx = torch.randint(64, (3, 16), generator=torch.Generator().manual_seed(0))
    plain = model.loss(idx, idx.roll(-1, 1))
    assert not seen
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.loss(idx, idx.roll(-1, 1))
    assert seen == [True, True]
    assert abs(loss.item() - plain.item()) < 0.01
