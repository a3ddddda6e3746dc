"""AdamW's groups, and steps that clip."""

from __future__ import annotations

import pytest
import torch

from gptexp.config import RunConfig
from gptexp.model.gpt import GPT
from gptexp.training import optimizer
from gptexp.training.optimizer import build_optimizer, gradient_norm, make_moments, take_step
from tests.tolerance import ROUND, gamma

CONFIG = RunConfig(vocab_size=64, n_layer=2, n_head=2, n_embd=32, block_size=16)
LOSS = torch.tensor(4.0)


def test_only_matrices_decay() -> None:
    """Weight decay touches every matrix, and no bias and no layer norm; no parameter is left out."""
    model = GPT(CONFIG, seed=0)
    decayed, kept = build_optimizer(model, CONFIG).param_groups
    assert decayed["weight_decay"] == 0.1
    assert kept["weight_decay"] == 0.0
    assert all(p.dim() >= 2 for p in decayed["params"])
    assert all(p.dim() < 2 for p in kept["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))


def model_with_gradients() -> GPT:
    model = GPT(CONFIG, seed=0)
    idx = torch.randint(64, (4, 16), generator=torch.Generator().manual_seed(0))
    (100 * model.loss(idx, idx)).backward()
    return model


def gradients(model: GPT) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.fixture(params=[optimizer.CLIPPING_KERNELS, ()], ids=["in the kernel", "before it"], autouse=True)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every promise here holds whether or not the device's kernel clips."""
    monkeypatch.setattr(optimizer, "CLIPPING_KERNELS", request.param)


@pytest.mark.parametrize("max_norm", [1.0, 1e6, None])
def test_a_step_clips(max_norm: float | None) -> None:
    """The norm is the unclipped one; the step sees gradients of norm max_norm at most, the direction unchanged."""
    model = model_with_gradients()
    before = gradients(model).double()
    norm = gradient_norm(model)
    take_step(build_optimizer(model, CONFIG), norm, max_norm, loss=LOSS)
    after = gradients(model).double()
    # A norm is the root of a sum of squares, over each parameter's numbers and then over the parameters' norms.
    longest, n_parameters = max(p.numel() for p in model.parameters()), len(list(model.parameters()))
    assert norm.item() == pytest.approx(before.norm().item(), rel=gamma(longest + n_parameters + 4) / 2)
    factor = 1.0 if max_norm is None else min(1.0, max_norm / (norm.item() + 1e-6))
    # Rounded: the norm with its 1e-6, the factor, the product.
    torch.testing.assert_close(after, before * factor, rtol=gamma(4), atol=0)


def test_steps_are_those_of_plain_adamw() -> None:
    """Three clipped steps end at the weights that torch's own AdamW and clip_grad_norm_ reach, to float rounding.

    Both get the same gradients: of a number that is almost zero AdamW makes a whole step, whose direction is rounding.
    """
    ours, plain = GPT(CONFIG, seed=0), GPT(CONFIG, seed=0)
    adamw = build_optimizer(ours, CONFIG)
    make_moments(adamw)
    groups = [{"params": [p for p in plain.parameters() if p.dim() >= 2], "weight_decay": CONFIG.weight_decay}]
    groups += [{"params": [p for p in plain.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=CONFIG.lr, betas=(CONFIG.beta1, CONFIG.beta2), eps=CONFIG.eps)
    start = [p.detach().clone() for p in plain.parameters()]
    for seed in range(3):
        idx = torch.randint(64, (4, 16), generator=torch.Generator().manual_seed(seed))
        ours.zero_grad()
        (100 * ours.loss(idx, idx)).backward()
        for mine, other in zip(ours.parameters(), plain.parameters(), strict=True):
            assert mine.grad is not None
            other.grad = mine.grad.clone()
        take_step(adamw, gradient_norm(ours), 1.0, loss=LOSS)
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        reference.step()
    # Of either side each step rounds a weight twice, decaying and moving it. A move is lr times a ratio that stays
    # near 1; behind it are some 20 roundings: of the clipped gradient, the moments, their corrections and the root.
    for (name, found), expected, begun in zip(ours.named_parameters(), plain.parameters(), start, strict=True):
        size = max(begun.abs().max().item(), expected.abs().max().item())
        atol = 2 * 3 * (2 * ROUND * size + CONFIG.lr * gamma(20))
        torch.testing.assert_close(found, expected, rtol=0, atol=atol, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("broken", ["gradient", "loss"])
def test_nothing_changes_where_a_number_is_not_finite(broken: str) -> None:
    """Weights, moments, step counts and gradients stay, so that the place where it began can still be found."""
    model = model_with_gradients()
    adamw = build_optimizer(model, CONFIG)
    make_moments(adamw)
    loss = LOSS
    if broken == "gradient":
        model.ln_final.weight.grad[0] = float("inf")
    else:
        loss = torch.tensor(float("nan"))
    weights, before = [p.detach().clone() for p in model.parameters()], gradients(model)
    norm = gradient_norm(model)
    take_step(adamw, norm, 1.0, loss=loss)
    assert bool(torch.isfinite(norm)) == (broken == "loss")
    assert all(torch.equal(p, kept) for p, kept in zip(model.parameters(), weights, strict=True))
    assert torch.equal(gradients(model), before)
    assert all(not value.any() for state in adamw.state.values() for value in state.values())
