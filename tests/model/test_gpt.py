"""The model: its size, its initial loss, and what each position may see."""

from __future__ import annotations

import math

import pytest
import torch

from gptexp.config import ModelConfig
from gptexp.measures.curves import expect_initial_loss
from gptexp.model import gpt
from gptexp.model.gpt import GPT, INIT_STD
from tests.tolerance import bound_cross_entropy, gamma

TINY = ModelConfig(vocab_size=64, n_layer=2, n_head=2, n_embd=32, block_size=16)


def test_gpt2_124m_counts_its_parameters() -> None:
    """The config of GPT-2 124M has exactly 124,439,808 trained numbers."""
    with torch.device("meta"):
        model = GPT(ModelConfig(vocab_size=50257, block_size=1024), seed=0)
    assert model.n_params() == 124_439_808


@pytest.mark.parametrize("n_embd", [64, 128, 384])
def test_initial_loss_follows_the_formula(n_embd: int) -> None:
    """Three sizes start at ln V + n_embd * 0.02^2 / 2; a wrong init would not.

    A logit's deviation is sqrt(n_embd) * 0.02, 0.4 for the widest: the mean over 512 tokens deviates by 0.017, and
    three times that is allowed. Tokens are drawn from a seed, so processors only differ by rounding.
    """
    config = ModelConfig(vocab_size=50257, n_layer=2, n_head=4, n_embd=n_embd, block_size=64)
    generator = torch.Generator().manual_seed(1)
    idx, targets = (torch.randint(50257, (8, 64), generator=generator) for _ in range(2))
    with torch.no_grad():
        loss = GPT(config, seed=1).loss(idx, targets).item()
        wrong = GPT(config.model_copy(update={"init": "pytorch-default"}), seed=1).loss(idx, targets).item()
    assert expect_initial_loss(50257, n_embd, "gpt2") == pytest.approx(math.log(50257) + n_embd * 0.0004 / 2)
    assert loss == pytest.approx(expect_initial_loss(50257, n_embd, "gpt2"), abs=0.05)
    assert wrong > loss + 10


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_no_position_sees_the_future(norm: str) -> None:
    """Changing token t changes no logits before t: otherwise the training loss would measure copying."""
    model = GPT(TINY.model_copy(update={"norm": norm}), seed=0).eval()
    idx = torch.randint(64, (1, 16), generator=torch.Generator().manual_seed(0))
    before = model(idx)
    for t in (3, 9, 15):
        changed = idx.clone()
        changed[0, t] = (changed[0, t] + 1) % 64
        after = model(changed)
        assert torch.equal(before[:, :t], after[:, :t])
        assert not torch.equal(before[:, t:], after[:, t:])


def test_loss_is_the_cross_entropy_of_the_logits() -> None:
    """`loss` and `forward` tell the same story."""
    model = GPT(TINY, seed=0)
    idx = torch.randint(64, (3, 16), generator=torch.Generator().manual_seed(0))
    targets = idx.roll(-1, 1)
    with torch.no_grad():
        direct = torch.nn.functional.cross_entropy(model(idx).flatten(0, 1), targets.flatten())
        hidden, weight = model.hidden(idx).flatten(0, 1), model.token_embedding.weight
        bound = bound_cross_entropy(hidden, weight, targets.flatten()).loss
        # Each of the two is rounded in its own way.
        assert model.loss(idx, targets).item() == pytest.approx(direct.item(), abs=2 * bound)


def test_gpt2_init_scales_residual_projections() -> None:
    """Projections into the residual stream start 1/sqrt(2 n_layer) smaller, biases at zero, layer norms at one.

    The deviation of n normal numbers deviates by 1/sqrt(2n), 0.0055 for the smallest matrix: 3% is five times that.
    """
    model = GPT(ModelConfig(vocab_size=500, n_layer=8, n_head=4, n_embd=128, block_size=16), seed=0)
    weights = dict(model.named_parameters())
    assert weights["blocks.3.attn.qkv.weight"].std().item() == pytest.approx(INIT_STD, rel=0.03)
    assert weights["blocks.3.attn.proj.weight"].std().item() == pytest.approx(INIT_STD / 4, rel=0.03)
    assert weights["blocks.3.ffn.proj.weight"].std().item() == pytest.approx(INIT_STD / 4, rel=0.03)
    assert weights["token_embedding.weight"].std().item() == pytest.approx(INIT_STD, rel=0.03)
    assert all((p == 0).all() for name, p in weights.items() if name.endswith("bias"))
    assert all((p == 1).all() for name, p in weights.items() if ".ln_" in name and name.endswith("weight"))


def test_weights_follow_from_the_seed_alone() -> None:
    """Seed k gives every arm the same weights, whatever was drawn before; the global generator is left alone."""
    torch.manual_seed(5)
    first = GPT(TINY, seed=3)
    state = torch.get_rng_state()
    second = GPT(TINY, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.token_embedding.weight, GPT(TINY, seed=4).token_embedding.weight)


def test_without_bias_there_is_none() -> None:
    """`bias=False` leaves biases out of linear layers and layer norms alike."""
    names = [name for name, _ in GPT(TINY.model_copy(update={"bias": False}), seed=0).named_parameters()]
    assert not [name for name in names if name.endswith("bias")]


def test_post_ln_normalises_the_sum() -> None:
    """After a post-LN block every hidden state has mean 0 and variance 1; there is no further layer norm.

    The layer norm divides by sqrt(v + 1e-5), v the variance of a normalised vector with little added: at least 1/2.
    A mean is the sum of 32 numbers whose mean square is 1, taken from numbers of that size, after two more roundings.
    """
    model = GPT(TINY.model_copy(update={"norm": "post"}), seed=0)
    hidden = model.hidden(torch.arange(16)[None]).double()
    torch.testing.assert_close(hidden.mean(-1), torch.zeros(1, 16).double(), atol=2 * gamma(32 + 4), rtol=0)
    variances = hidden.var(-1, unbiased=False)
    torch.testing.assert_close(variances, torch.ones(1, 16).double(), atol=1e-5 / 0.5 + 4 * gamma(32 + 4), rtol=0)
    assert "ln_final.weight" not in dict(model.named_parameters())


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_what_is_computed_again_changes_no_bit(norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large models compute layer norms and GELUs again in the backward pass: loss and gradients are the same."""
    idx = torch.randint(64, (3, 16), generator=torch.Generator().manual_seed(0))
    found = []
    for limit in (1, 2**40):
        monkeypatch.setattr(gpt, "RECOMPUTED_ELEMENTS", limit)
        model = GPT(TINY.model_copy(update={"norm": norm}), seed=0)
        loss = model.loss(idx, idx.roll(-1, 1))
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
