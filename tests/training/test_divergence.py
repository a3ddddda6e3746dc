"""Where a number stopped being finite: planted in one place, named there."""

from __future__ import annotations

import pytest
import torch

from gptexp.config import RunConfig
from gptexp.model.gpt import GPT
from gptexp.training.divergence import locate_in_forward, locate_in_gradients

CONFIG = RunConfig(vocab_size=64, n_layer=2, n_head=2, n_embd=32, block_size=16)
IDX = torch.arange(16)[None]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_one_bad_weight_is_named(bad: float) -> None:
    """One number of a parameter is enough, and of two bad parameters the first is named."""
    model = GPT(CONFIG, seed=0)
    with torch.no_grad():
        model.get_parameter("blocks.1.ffn.proj.bias")[3] = bad
        assert locate_in_forward(model, IDX) == "parameter blocks.1.ffn.proj.bias"
        model.get_parameter("blocks.0.ln_attn.weight")[0] = bad
    assert locate_in_forward(model, IDX) == "parameter blocks.0.ln_attn.weight"


def test_the_first_module_that_overflows_is_named() -> None:
    """Finite weights whose output isn't: the innermost module that began it. One number of its output is enough."""
    model = GPT(CONFIG, seed=0)
    with torch.no_grad():
        # Of one output of the layer only: 32 products of 3e38 each.
        model.get_parameter("blocks.1.ffn.expand.weight")[5] = 3e38
        model.get_parameter("blocks.1.ln_ffn.bias").fill_(10.0)
    assert locate_in_forward(model, IDX) == "loss, output of blocks.1.ffn.expand"


def test_a_finite_model_is_broken_in_the_output_layer() -> None:
    """Where all hidden states are finite only the logits are left; no hook stays behind."""
    model = GPT(CONFIG, seed=0)
    assert locate_in_forward(model, IDX) == "loss, in the output layer"
    assert not any(module._forward_hooks for module in model.modules())


def test_the_gradient_that_the_backward_pass_reached_first_is_named() -> None:
    """The last parameter with one bad number in its gradient; without any it is their norm."""
    model = GPT(CONFIG, seed=0)
    model.loss(IDX, IDX).backward()
    assert locate_in_gradients(model) == "gradient norm"
    for name in ("blocks.0.attn.qkv.weight", "blocks.1.attn.qkv.weight"):
        gradient = model.get_parameter(name).grad
        assert gradient is not None
        gradient[0, 0] = float("nan")
    model.get_parameter("ln_final.weight").grad = None
    assert locate_in_gradients(model) == "gradient of blocks.1.attn.qkv.weight"
