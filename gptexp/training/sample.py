"""Text that the model writes."""

from __future__ import annotations

import torch
from torch import Tensor

from gptexp.model.gpt import GPT

TEMPERATURE = 0.8
"""Below 1 the likelier tokens gain. Source: nanoGPT `sample.py`."""
TOP_K = 200
"""Tokens that are drawn from. Source: nanoGPT `sample.py`."""


def derive_seed(seed: int, step: int) -> int:
    """A generator's seed for one step of a run, within the 64 bits that torch takes."""
    return (seed * 1_000_003 + step) % 2**64


@torch.no_grad()
def generate(
    model: GPT, prompt: Tensor, n_tokens: int, *, seed: int, temperature: float = TEMPERATURE, top_k: int = TOP_K
) -> Tensor:
    """Continue `prompt` by `n_tokens` tokens, one at a time.

    Keys and values of earlier tokens are kept, so that a token costs one position instead of the whole context. Past
    block_size tokens every position moves on with each token, and all are computed anew.

    Draws from a generator of its own, so that sampling never changes training.

    Args:
        prompt: int64 (T,), at least one token; only the last block_size are read.
        temperature: > 0 divides the logits; 0 takes the likeliest token.

    Returns:
        int64 (T + n_tokens,).
    """
    was_training = model.training
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    idx = prompt[None]
    caches = model.empty_caches(windows=1)
    for _ in range(n_tokens):
        if idx.shape[1] <= model.config.block_size:
            hidden = model.hidden(idx[:, caches[0].length :], caches)[:, -1]
        else:
            hidden = model.hidden(idx[:, -model.config.block_size :])[:, -1]
        # The sampling itself runs on the CPU in fp32: the same draw on every device.
        logits = (hidden.float() @ model.token_embedding.weight.float().t())[0].cpu()
        idx = torch.cat((idx, draw_token(logits, generator, temperature, top_k).to(idx.device)[None]), dim=1)
    model.train(was_training)
    return idx[0]


def draw_token(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int) -> Tensor:
    """float32 (V,) -> int64 (1,). Logits that are not finite (a diverged model) draw token 0."""
    if not bool(torch.isfinite(logits).all()):
        return torch.zeros(1, dtype=torch.int64)
    if temperature == 0:
        return logits.argmax(keepdim=True)
    top, ids = torch.topk(logits / temperature, min(top_k, logits.numel()))
    return ids[torch.multinomial(torch.softmax(top, 0), 1, generator=generator)]
