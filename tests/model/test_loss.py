"""The sliced linear cross-entropy is exact."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gptexp.model import loss as loss_module
from gptexp.model.loss import LogitsBuffer, linear_cross_entropy, slice_rows, softmax_and_gradient
from tests.tolerance import bound_cross_entropy


def make_problem(tokens: int, vocab_size: int = 300, width: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    hidden = torch.randn(tokens, width, generator=generator)
    weight = torch.randn(vocab_size, width, generator=generator)
    return hidden, weight, torch.randint(vocab_size, (tokens,), generator=generator)


def set_columns(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Blocks of so many columns, in both precisions."""
    monkeypatch.setattr(loss_module, "BLOCK_COLUMNS", dict.fromkeys(loss_module.BLOCK_COLUMNS, columns))


def reference(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    h, w = hidden.double().requires_grad_(), weight.double().requires_grad_()
    value = F.cross_entropy(h @ w.t(), targets)
    value.backward()
    assert h.grad is not None
    assert w.grad is not None
    return value, h.grad, w.grad


def assert_within(found: Tensor | None, exact: Tensor, bound: Tensor | float) -> None:
    """No element is further from float64's than its bound."""
    assert found is not None
    assert found.dtype == torch.float32
    assert ((found.double() - exact).abs() <= bound).all()


@pytest.mark.parametrize("tokens", [1, 15, 16, 17, 100])
def test_equals_float64(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and both gradients equal float64's to fp32 rounding, wherever the slices end; so does what follows them."""
    monkeypatch.setattr(loss_module, "SLICE_ELEMENTS", {"cpu": 300 * 16})
    hidden, weight, targets = make_problem(tokens)
    value, grad_hidden, grad_weight = reference(hidden, weight, targets)
    bounds = bound_cross_entropy(hidden, weight, targets)
    h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    found = linear_cross_entropy(h, w, targets)
    (3 * found).backward()
    assert_within(found, value, bounds.loss)
    assert_within(h.grad, 3 * grad_hidden, 3 * bounds.grad_hidden)
    assert_within(w.grad, 3 * grad_weight, 3 * bounds.grad_weight)


def test_extreme_logits_stay_finite() -> None:
    """Logits of a thousand neither overflow nor underflow to an infinite loss."""
    hidden, weight, targets = make_problem(20)
    value, _, _ = reference(hidden * 300, weight, targets)
    found = linear_cross_entropy(hidden * 300, weight, targets)
    assert_within(found, value, bound_cross_entropy(hidden * 300, weight, targets).loss)


def test_a_kept_buffer_changes_nothing() -> None:
    """A buffer used for a larger problem before gives the same bits as a fresh one."""
    buffer = LogitsBuffer()
    linear_cross_entropy(*make_problem(64), buffer)
    hidden, weight, targets = make_problem(10)
    fresh = linear_cross_entropy(hidden, weight, targets)
    assert torch.equal(linear_cross_entropy(hidden, weight, targets, buffer), fresh)


@pytest.mark.parametrize("way", ["in place", "aligned", "compiled", "aligned and compiled"])
def test_bf16_stays_near(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """bf16 products cost precision, not correctness: no element leaves the bounds of bf16's roundings.

    As a whole the gradients are nearer, since the roundings to bf16 are independent: 0.6% of their norm, and 3% are
    allowed. These roundings are the same everywhere; sums are float32 on every processor.

    It holds for rows of logits that are longer than the vocabulary, and for what GPUs compile, written out.
    """
    if "aligned" in way:
        monkeypatch.setattr(loss_module, "ALIGNMENT", {"cpu": 64})
    softmax = softmax_and_gradient if "compiled" in way else None
    hidden, weight, targets = make_problem(64)
    assert len(weight) % 64
    seen_hidden, seen_weight = hidden.bfloat16(), weight.bfloat16()
    value, grad_hidden, grad_weight = reference(seen_hidden, seen_weight, targets)
    bounds = bound_cross_entropy(seen_hidden, seen_weight, targets, stored=torch.bfloat16)
    h, w = seen_hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    found = linear_cross_entropy(h, w, targets, softmax=softmax)
    found.backward()
    assert h.grad is not None
    assert w.grad is not None
    assert_within(found, value, bounds.loss)
    assert_within(h.grad.float(), grad_hidden, bounds.grad_hidden)
    assert_within(w.grad, grad_weight, bounds.grad_weight)
    assert (h.grad.double() - grad_hidden).norm() < 0.03 * grad_hidden.norm()
    assert (w.grad.double() - grad_weight).norm() < 0.03 * grad_weight.norm()


@pytest.mark.parametrize("wants", ["both", "hidden", "weight"])
def test_bf16_blocks_round_only_what_is_multiplied(wants: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against float64 on the same rounded operands: the loss is off by the rounding of logits and exponentials, which
    averages out, and gradients by that of three products. Sums in bf16 would be off by percents.
    """
    monkeypatch.setattr(loss_module, "SLICE_ELEMENTS", {"cpu": 300 * 16})
    set_columns(monkeypatch, 128)
    hidden, weight, targets = make_problem(40)
    rounded, rounded_weight = hidden.bfloat16().float(), (0.2 * weight).bfloat16().float()
    value, grad_hidden, grad_weight = reference(rounded, rounded_weight, targets)
    h = hidden.bfloat16().requires_grad_(wants != "weight")
    w = rounded_weight.clone().requires_grad_(wants != "hidden")
    found = linear_cross_entropy(h, w, targets)
    found.backward()
    # bf16 rounds by up to 2^-9 of a number; logits here are of size 1 to 4.
    assert abs(found.item() - value.item()) < 2**-9
    if h.grad is not None:
        assert h.grad.dtype == torch.bfloat16
        assert (h.grad.double() - grad_hidden).norm() < 2**-7 * grad_hidden.norm()
    if w.grad is not None:
        assert w.grad.dtype == torch.float32
        assert (w.grad.double() - grad_weight).norm() < 2**-7 * grad_weight.norm()


def test_a_slice_takes_the_same_memory_in_both_precisions() -> None:
    """64 MiB of GPT-2's logits on a CPU: 333 tokens in fp32, 667 in bf16, both down to a multiple of 16."""
    found = [slice_rows(50257, "cpu", dtype) for dtype in (torch.float32, torch.bfloat16)]
    assert found == [320, 656]
    assert slice_rows(50257, "cuda", torch.bfloat16) == slice_rows(50257, "cuda", torch.float32)


def test_an_evaluation_computes_no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gradients asked for, no product for them is made: an evaluation costs a third of a step."""
    hidden, weight, targets = make_problem(20)
    weight.requires_grad_()
    with_gradients = linear_cross_entropy(hidden, weight, targets)

    def refuse(*_: object) -> None:
        raise AssertionError("a gradient was computed")

    monkeypatch.setattr(loss_module, "_add_product", refuse)
    with torch.no_grad():
        assert torch.equal(linear_cross_entropy(hidden, weight, targets), with_gradients)


@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("wants", ["both", "hidden", "weight"])
def test_blocks_of_the_vocabulary_equal_float64(scale: float, wants: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole and partial blocks over several slices give float64's loss and gradients; so do logits of a thousand,
    whose exponentials leave the range of a float.
    """
    monkeypatch.setattr(loss_module, "SLICE_ELEMENTS", {"cpu": 300 * 16})
    set_columns(monkeypatch, 128)
    hidden, weight, targets = make_problem(40)
    hidden = hidden * scale
    value, grad_hidden, grad_weight = reference(hidden, weight, targets)
    # Logits of a thousand go the other way, over whole rows.
    bounds = bound_cross_entropy(hidden, weight, targets, apart=scale == 1)
    h, w = hidden.clone().requires_grad_(wants != "weight"), weight.clone().requires_grad_(wants != "hidden")
    found = linear_cross_entropy(h, w, targets)
    found.backward()
    assert_within(found, value, bounds.loss)
    if h.requires_grad:
        assert_within(h.grad, grad_hidden, bounds.grad_hidden)
    if w.requires_grad:
        assert_within(w.grad, grad_weight, bounds.grad_weight)
    with torch.no_grad():
        assert_within(linear_cross_entropy(hidden, weight, targets), value, bounds.loss)


def test_blocks_do_not_take_what_is_not_a_number() -> None:
    """A NaN in the hidden states is a NaN in the loss, not a number that happens to be finite."""
    hidden, weight, targets = make_problem(20, vocab_size=loss_module.BLOCK_COLUMNS[torch.float32] + 10)
    hidden[3, 1] = float("nan")
    assert linear_cross_entropy(hidden, weight, targets).isnan()


@pytest.mark.parametrize("blocks", [64, 4096])
def test_a_sure_model_has_an_exact_loss(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the target is all but certain the loss is small and never negative; blocks keep even its relative size, and
    the gradients', that float64 gives.
    """
    set_columns(monkeypatch, blocks)
    _, weight, targets = make_problem(100)
    weight = 5 * weight / weight.norm(dim=1, keepdim=True)
    hidden = weight[targets]
    value, grad_hidden, grad_weight = reference(hidden, weight, targets)
    bounds = bound_cross_entropy(hidden, weight, targets, apart=blocks == 64)
    h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    found = linear_cross_entropy(h, w, targets)
    found.backward()
    assert 0 < value.item() < 0.01
    assert found.item() >= 0
    assert_within(found, value, bounds.loss)
    assert_within(h.grad, grad_hidden, bounds.grad_hidden)
    assert_within(w.grad, grad_weight, bounds.grad_weight)
    if blocks == 64:
        assert bounds.loss < 1e-3 * value.item()
        assert bounds.grad_hidden.norm() < 1e-3 * grad_hidden.norm()
        assert bounds.grad_weight.norm() < 1e-3 * grad_weight.norm()


def test_compiled_softmax_is_the_written_one() -> None:
    """Compiled, `softmax_and_gradient` gives the same numbers to bf16 rounding, and zero beyond the vocabulary."""
    logits = (3 * torch.randn(32, 128, generator=torch.Generator().manual_seed(1))).bfloat16()
    targets = torch.arange(32)
    loss, gradient = softmax_and_gradient(logits, targets, 100)
    found, compiled = torch.compile(softmax_and_gradient, dynamic=False)(logits, targets, 100)
    exact = F.cross_entropy(logits[:, :100].double(), targets, reduction="sum")
    assert abs(loss.item() - exact.item()) < 1e-5 * exact.item()
    assert abs(found.item() - loss.item()) < 1e-5 * loss.item()
    assert (compiled.float() - gradient.float()).abs().max() <= 2**-8
    assert not gradient[:, 100:].any()
    assert not compiled[:, 100:].any()
