"""AdamW's groups, and steps that clip."""

from __future__ import annotations

import pytest
import torch

from gptexp.config import RunConfig
from gptexp.model.gpt import GPT
from gptexp.training import optimizer
from gptexp.training.optimizer import build_optimizer, gradient_norm, make_moments, set_learning_rate, take_step
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


def one_gradient(*numbers: float) -> tuple[torch.nn.Parameter, torch.optim.AdamW]:
    """A parameter with this gradient, and AdamW on it."""
    model = torch.nn.ParameterList([torch.nn.Parameter(torch.ones(len(numbers)))])
    adamw = build_optimizer(model, CONFIG)
    model[0].grad = torch.tensor(numbers)
    return model[0], adamw


def test_the_optimizer_is_as_the_config_has_it() -> None:
    """Rate, betas and eps of every group are the config's; what needs no gradient is left out."""
    model = torch.nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    config = CONFIG.override({"lr": 2e-3, "beta1": 0.8, "beta2": 0.9, "eps": 1e-6, "weight_decay": 0.3})
    decayed, kept = build_optimizer(model, config).param_groups
    for group in (decayed, kept):
        assert (group["lr"], group["betas"], group["eps"], group["fused"]) == (2e-3, (0.8, 0.9), 1e-6, True)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    assert ([p.shape for p in decayed["params"]], kept["params"]) == ([(2, 3)], [])


def test_every_group_gets_the_rate() -> None:
    """Those that decay and those that don't."""
    adamw = build_optimizer(GPT(CONFIG, seed=0), CONFIG)
    set_learning_rate(adamw, 0.25)
    assert [group["lr"] for group in adamw.param_groups] == [0.25, 0.25]


def test_a_norm_by_hand() -> None:
    """Over all gradients together, 3 and 4 are 5; what has none counts as nothing."""
    model = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(1)) for _ in range(3)])
    model[0].grad, model[1].grad = torch.tensor([3.0]), torch.tensor([-4.0])
    assert gradient_norm(model).item() == 5.0


@pytest.mark.parametrize(
    ("norm", "max_norm", "factor"),
    [(4.0, 2.0, 0.5), (2.0, 2.0, 1.0), (1.0, 2.0, 1.0), (3e-6, 1e-6, 0.25), (1e-6, 4e-6, 1.0)],
)
def test_a_clipped_gradient_by_hand(norm: float, max_norm: float, factor: float) -> None:
    """It is divided by (norm + 1e-6) / max_norm where that is above 1: of a norm of 3e-6 a quarter is left at 1e-6."""
    weight, adamw = one_gradient(0.6 * norm, -0.8 * norm)
    take_step(adamw, torch.tensor(norm), max_norm, loss=LOSS)
    assert weight.grad is not None
    assert weight.grad.tolist() == pytest.approx([0.6 * norm * factor, -0.8 * norm * factor], rel=2e-6, abs=0)


def test_a_clipping_kernel_takes_no_pass_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own clipping runs where the kernel doesn't clip, and nowhere else; it is the same kernel each time."""
    calls: list[float] = []
    clip = torch.nn.utils.clip_grads_with_norm_

    def count(parameters: list[torch.nn.Parameter], max_norm: float, norm: torch.Tensor) -> None:
        calls.append(max_norm)
        clip(parameters, max_norm, norm)

    monkeypatch.setattr(torch.nn.utils, "clip_grads_with_norm_", count)
    _, adamw = one_gradient(3.0, 4.0)
    take_step(adamw, torch.tensor(5.0), 1.0, loss=LOSS)
    take_step(adamw, torch.tensor(5.0), None, loss=LOSS)
    assert calls == ([] if "cpu" in optimizer.CLIPPING_KERNELS else [1.0])


def test_clipping_does_not_act_on_a_later_step() -> None:
    """A step that somebody takes by hand afterwards sees its gradients as they are, also behind one left out."""
    for loss in (LOSS, torch.tensor(float("nan"))):
        weight, adamw = one_gradient(3.0, 4.0)
        take_step(adamw, torch.tensor(5.0), 1.0, loss=loss)
        weight.grad = torch.tensor([3.0, 4.0])
        before = weight.detach().clone()
        adamw.step()
        assert weight.grad.tolist() == [3.0, 4.0]
        assert not torch.equal(weight, before)


def test_moments_are_made_once() -> None:
    """They are there, zero, before the first step; those of a run that goes on stay as they are."""
    weight, adamw = one_gradient(3.0, 4.0)
    make_moments(adamw)
    assert set(adamw.state[weight]) == {"step", "exp_avg", "exp_avg_sq"}
    assert not any(value.any() for value in adamw.state[weight].values())
    take_step(adamw, torch.tensor(5.0), None, loss=LOSS)
    make_moments(adamw)
    state = adamw.state[weight]
    assert state["step"].item() == 1
    # A tenth of the gradient, and a twentieth of its square.
    assert state["exp_avg"].tolist() == pytest.approx([0.3, 0.4])
    assert state["exp_avg_sq"].tolist() == pytest.approx([0.45, 0.8])
