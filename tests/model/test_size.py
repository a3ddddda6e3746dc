"""The size of a model is counted without making it."""

from __future__ import annotations

import pytest

from gptexp.config import build_config
from gptexp.model.gpt import GPT
from gptexp.model.size import count_params


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("shape", [(1, 2, 16, 8, 11), (3, 4, 32, 5, 65)])
def test_counts_what_the_model_has(shape: tuple[int, ...], norm: str, bias: bool) -> None:
    """The sum of all parts equals the parameters of the model itself."""
    fields = dict(zip(("n_layer", "n_head", "n_embd", "block_size", "vocab_size"), shape, strict=True))
    config = build_config({**fields, "norm": norm, "bias": bias})
    assert count_params(config) == GPT(config, seed=0).n_params()


def test_gpt2_has_124_million() -> None:
    """The published size, for GPT-2's own context of 1,024."""
    assert count_params(build_config({"vocab_size": 50257, "block_size": 1024})) == 124_439_808
