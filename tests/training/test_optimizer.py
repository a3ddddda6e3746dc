"""Optimizers by name: their groups, their state, and steps that clip."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

from gptexp.config import RunConfig
from gptexp.errors import GptexpError
from gptexp.model.gpt import GPT
from gptexp.names import OPTIMIZERS
from gptexp.training import optimizer
from gptexp.training.optimizer import (
    MakesState,
    build_optimizer,
    gradient_norm,
    make_state,
    set_learning_rate,
    take_step,
)
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


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_has_every_parameter_once(name: str) -> None:
    """Whatever its groups are: each parameter is in one of them, and only matrices decay."""
    model = GPT(CONFIG, seed=0)
    groups = build_optimizer(model, CONFIG.override({"optimizer": name})).param_groups
    held = [parameter for group in groups for parameter in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, model.parameters()))
    decaying = [parameter for group in groups if group["weight_decay"] > 0 for parameter in group["params"]]
    others = [parameter for parameter in decaying if parameter.dim() < 2]
    assert not others, "biases or norms decay: make the groups with gptexp.training.optimizer.split_by_decay"


WATCHED_STEPS = """
import sys, torch
from gptexp.config import RunConfig
from gptexp.model.gpt import GPT
from gptexp.names import OPTIMIZERS
from gptexp.training.optimizer import build_optimizer, gradient_norm, take_step
config = RunConfig(vocab_size=8, n_layer=1, n_head=1, n_embd=8, block_size=4)
for name in OPTIMIZERS.names():
    model = GPT(config, seed=0)
    built = build_optimizer(model, config.override({"optimizer": name}))
    x = torch.zeros(1, 4, dtype=torch.int64)
    for _ in range(2):
        loss = model.loss(x, x)
        loss.backward()
        take_step(built, gradient_norm(model), 1.0, loss=loss.detach())
        built.zero_grad()
    built.load_state_dict(built.state_dict())
    assert built.state and "torch._dynamo" not in sys.modules, name
from gptexp.claims.computed import COMPUTED, compute
for name in COMPUTED:
    compute(name)
    assert "torch._dynamo" not in sys.modules, name
"""


def test_no_step_and_no_claim_imports_the_compiler() -> None:
    """In a process of its own, where nothing else has imported it: that takes seconds of each run and each report."""
    subprocess.run([sys.executable, "-c", WATCHED_STEPS], check=True)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_state_that_is_made_ahead_is_that_of_a_first_step(name: str) -> None:
    """After three clipped steps weights and memory are to the bit those of a run that made its state by itself."""
    config = CONFIG.override({"optimizer": name})
    ends = []
    for ahead in (True, False):
        model = GPT(config, seed=0)
        built = build_optimizer(model, config)
        if ahead:
            make_state(built)
            assert set(built.state) == (set(model.parameters()) if isinstance(built, MakesState) else set())
        for seed in range(3):
            idx = torch.randint(64, (4, 16), generator=torch.Generator().manual_seed(seed))
            model.zero_grad()
            loss = model.loss(idx, idx)
            loss.backward()
            set_learning_rate(built, 1e-3 * (seed + 1))
            take_step(built, gradient_norm(model), 1.0, loss=loss.detach())
        names = [name for name, _ in model.named_parameters()]
        memory = [{key: value.clone() for key, value in built.state[p].items()} for p in model.parameters()]
        ends.append((dict(model.state_dict()), dict(zip(names, memory, strict=True))))
    (weights, memory), (other_weights, other_memory) = ends
    assert all(torch.equal(weights[key], other_weights[key]) for key in weights)
    for parameter, kept in memory.items():
        assert kept.keys() == other_memory[parameter].keys()
        assert all(torch.equal(kept[key], other_memory[parameter][key]) for key in kept)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_clips_and_learns(name: str) -> None:
    """Gradients end with the norm that was asked for, what is read is the unclipped one, and a batch is learned."""
    # Without weight decay: in Adam's gradient it would outweigh one that is clipped as hard as this.
    config = CONFIG.override({"optimizer": name, "weight_decay": 0.0})
    model = GPT(config, seed=0)
    built = build_optimizer(model, config)
    set_learning_rate(built, 1.0 if name == "sgd" else 3e-3)
    idx = torch.randint(64, (4, 16), generator=torch.Generator().manual_seed(0))
    losses = []
    for _ in range(20):
        model.zero_grad()
        loss = model.loss(idx, idx)
        loss.backward()
        before = gradients(model).double().norm().item()
        read = take_step(built, gradient_norm(model), 0.1, loss=loss.detach())
        assert read == (loss.item(), pytest.approx(before, rel=1e-4))
        assert gradients(model).double().norm().item() == pytest.approx(min(0.1, before), rel=1e-4)
        losses.append(read[0])
    assert losses[-1] < losses[0] - 0.5


def move_one(name: str, weight: float, gradient: float, **changes: object) -> float:
    """Where a matrix of one weight is after one unclipped step with that gradient."""
    config = CONFIG.override({"optimizer": name, "lr": 0.01, "weight_decay": 0.5, **changes})
    model = torch.nn.ParameterList([torch.nn.Parameter(torch.full((1, 1), weight))])
    built = build_optimizer(model, config)
    make_state(built)
    model[0].grad = torch.full((1, 1), gradient)
    take_step(built, torch.tensor(abs(gradient)), None, loss=LOSS)
    return model[0].item()


def test_where_weight_decay_goes_in() -> None:
    """A first step of Adam moves by lr in the sign of the gradient. AdamW shrinks the weight by lr · weight_decay of it
    as well; in Adam the decay is in the gradient, and vanishes in its sign. SGD moves by lr times both."""
    assert move_one("adamw", 2.0, 1e-3) == pytest.approx(2 - 0.01 * 0.5 * 2 - 0.01)
    assert move_one("adam", 2.0, 1e-3) == pytest.approx(2 - 0.01)
    assert move_one("adam", 2.0, -0.999) == pytest.approx(2 - 0.01)
    assert move_one("adam", 2.0, -1.001) == pytest.approx(2 + 0.01)
    assert move_one("sgd", 2.0, 3.0) == pytest.approx(2 - 0.01 * (3 + 0.5 * 2))


def test_momentum_is_beta1() -> None:
    """The second step of SGD moves by the gradient and beta1 times the first one; at 0 it remembers nothing."""
    for beta1, moved in ((0.9, 1 + 1.9), (0.0, 2.0)):
        model = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(1))])
        built = build_optimizer(model, CONFIG.override({"optimizer": "sgd", "lr": 1.0, "beta1": beta1}))
        make_state(built)
        for _ in range(2):
            model[0].grad = torch.ones(1)
            take_step(built, torch.tensor(1.0), None, loss=LOSS)
        assert model[0].item() == pytest.approx(-moved)
        assert bool(built.state[model[0]]) == (beta1 > 0)


def test_muon_has_the_matrices_inside() -> None:
    """Attention and feed-forward weights; their first steps are orthogonal, of 0.2 · sqrt(max(rows, columns)) · lr."""
    config = CONFIG.override({"optimizer": "muon", "weight_decay": 0.0})
    model = GPT(config, seed=0)
    built = build_optimizer(model, config)
    idx = torch.randint(64, (4, 16), generator=torch.Generator().manual_seed(0))
    model.loss(idx, idx).backward()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    take_step(built, gradient_norm(model), None, loss=LOSS)
    inside = {name for name, p in model.named_parameters() if "momentum_buffer" in built.state[p]}
    assert inside == {
        f"blocks.{block}.{part}.weight"
        for block in range(2)
        for part in ("attn.qkv", "attn.proj", "ffn.expand", "ffn.proj")
    }
    for name, p in model.named_parameters():
        moved = (p.detach() - before[name]).double() / config.lr
        if name in inside:
            scales = torch.linalg.svdvals(moved) / (0.2 * math.sqrt(max(p.shape)))
            assert 0.5 < scales.median() < 1.5
        else:
            assert moved.abs().max().item() == pytest.approx(1, rel=1e-3)


def test_an_unknown_optimizer_is_answered_with_near_names() -> None:
    """One sentence, where a config is made."""
    with pytest.raises(
        GptexpError, match=r"optimizer='adamv': there is no optimizer 'adamv'; did you mean adam or adamw"
    ):
        CONFIG.override({"optimizer": "adamv"})


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
    make_state(adamw)
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


@pytest.mark.parametrize("name", OPTIMIZERS.names())
@pytest.mark.parametrize("broken", ["gradient", "loss"])
def test_nothing_changes_where_a_number_is_not_finite(broken: str, name: str) -> None:
    """Weights, moments, step counts and gradients stay, so that the place where it began can still be found."""
    model = model_with_gradients()
    built = build_optimizer(model, CONFIG.override({"optimizer": name}))
    make_state(built)
    loss = LOSS
    if broken == "gradient":
        model.ln_final.weight.grad[0] = float("inf")
    else:
        loss = torch.tensor(float("nan"))
    weights, before = [p.detach().clone() for p in model.parameters()], gradients(model)
    norm = gradient_norm(model)
    read = take_step(built, norm, 1.0, loss=loss)
    assert [math.isfinite(number) for number in read] == [broken == "gradient", broken == "loss"]
    assert bool(torch.isfinite(norm)) == (broken == "loss")
    assert all(torch.equal(p, kept) for p, kept in zip(model.parameters(), weights, strict=True))
    assert torch.equal(gradients(model), before)
    assert all(not value.any() for state in built.state.values() for value in state.values())


def one_gradient(*numbers: float) -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
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
    make_state(adamw)
    assert set(adamw.state[weight]) == {"step", "exp_avg", "exp_avg_sq"}
    assert not any(value.any() for value in adamw.state[weight].values())
    take_step(adamw, torch.tensor(5.0), None, loss=LOSS)
    make_state(adamw)
    state = adamw.state[weight]
    assert state["step"].item() == 1
    # A tenth of the gradient, and a twentieth of its square.
    assert state["exp_avg"].tolist() == pytest.approx([0.3, 0.4])
    assert state["exp_avg_sq"].tolist() == pytest.approx([0.45, 0.8])
