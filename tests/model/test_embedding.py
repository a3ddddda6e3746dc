"""The token embedding's gradient is that of PyTorch's own, without its zeros."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from gptexp.config import ModelConfig
from gptexp.model import gpt
from gptexp.model.embedding import TokenEmbedding
from gptexp.model.gpt import GPT

TINY = ModelConfig(vocab_size=64, n_layer=1, n_head=2, n_embd=32, block_size=16)


def test_only_the_rows_that_were_read_have_a_gradient() -> None:
    """The gradient holds a row per different token, summed over its places in their order: to the bits of PyTorch's."""
    generator = torch.Generator().manual_seed(0)
    idx = torch.randint(40, (8, 32), generator=generator)
    grad = torch.randn(8, 32, 24, generator=generator)
    own, usual = TokenEmbedding(1000, 24), nn.Embedding(1000, 24)
    usual.load_state_dict(own.state_dict())
    found, expected = own(idx), usual(idx)
    assert torch.equal(found, expected)
    found.backward(grad)
    expected.backward(grad)
    assert own.weight.grad is not None
    assert usual.weight.grad is not None
    assert own.weight.grad._nnz() == len(idx.unique())
    assert torch.equal(own.weight.grad.to_dense(), usual.weight.grad)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_tied_gradient_is_dense_fp32_and_the_same(bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output layer and embedding share one weight: its gradient is their sum, to the bit, over two micro-batches."""
    idx = torch.randint(64, (3, 16), generator=torch.Generator().manual_seed(0))
    gradients = []
    for kind in (TokenEmbedding, nn.Embedding):
        monkeypatch.setattr(gpt, "TokenEmbedding", kind)
        model = GPT(TINY, seed=0)
        for part in (idx, idx.flip(0)):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                loss = model.loss(part, part.roll(-1, 1))
            loss.backward()
        gradients.append(model.token_embedding.weight.grad)
    found, expected = gradients
    assert found is not None
    assert expected is not None
    assert not found.is_sparse
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_what_pytorch_says_of_checks_is_not_shown() -> None:
    """PyTorch 2.11 and 2.12 warn of a check that is named as off; training shows its users no such lines."""
    said = "Sparse invariant checks are implicitly disabled. Memory errors (e.g. SEGFAULT) will occur"
    code = f"import warnings, gptexp.model.embedding; warnings.warn({said!r}); warnings.warn('another')"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert f"UserWarning: {said}" not in shown
    assert "UserWarning: another" in shown
