"""AdamW's groups, and clipping that tells the norm before it clips."""

from __future__ import annotations

import pytest
import torch

from gptexp.config import RunConfig
from gptexp.model.gpt import GPT
from gptexp.training.optimizer import build_optimizer, clip_gradients

CONFIG = RunConfig(vocab_size=64, n_layer=2, n_head=2, n_embd=32, block_size=16)


def test_only_matrices_decay() -> None:
    """Weight decay touches every matrix, and no bias and no layer norm; no parameter is left out."""
    model = GPT(CONFIG, seed=0)
    decayed, kept = build_optimizer(model, CONFIG).param_groups
    assert decayed["weight_decay"] == 0.1
    assert kept["weight_decay"] == 0.0
    assert all(p.dim() >= 2 for p in decayed["params"])
    assert all(p.dim() < 2 for p in kept["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("max_norm", [1.0, 1e6, None])
def test_clip_returns_the_norm_before(max_norm: float | None) -> None:
    """The returned norm is the unclipped one; afterwards it is at most max_norm, the direction unchanged."""
    model = GPT(CONFIG, seed=0)
    idx = torch.randint(64, (4, 16), generator=torch.Generator().manual_seed(0))
    (100 * model.loss(idx, idx)).backward()
    before = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    norm = clip_gradients(model, max_norm)
    after = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert norm.item() == pytest.approx(before.norm().item(), rel=1e-5)
    expected = norm.item() if max_norm is None else min(norm.item(), max_norm)
    assert after.norm().item() == pytest.approx(expected, rel=1e-4)
    assert torch.nn.functional.cosine_similarity(before, after, dim=0).item() == pytest.approx(1.0, abs=1e-5)


def test_a_non_finite_gradient_is_left_as_it_is() -> None:
    """Clipping by an infinite norm would turn finite gradients into NaN and hide where it began."""
    model = GPT(CONFIG, seed=0)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    model.ln_final.weight.grad[0] = float("inf")
    assert clip_gradients(model, 1.0).item() == float("inf")
    assert (model.token_embedding.weight.grad == 1).all()
