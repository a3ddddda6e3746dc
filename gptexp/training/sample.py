"""Samples text from a model."""

from __future__ import annotations

import torch
from torch import Tensor

from gptexp.model.gpt import GPT

TEMPERATURE = 0.8
"""Divides the logits; below 1 it favours likely tokens. Source: nanoGPT `sample.py`."""
TOP_K = 200
"""Tokens are drawn from this many likeliest ones. Source: nanoGPT `sample.py`."""


def derive_seed(seed: int, step: int) -> int:
    """The seed of the sampling generator at one step of a run, reduced to the 64 bits that torch accepts."""
    return (seed * 1_000_003 + step) % 2**64


@torch.no_grad()
def generate(
    model: GPT, prompt: Tensor, n_tokens: int, *, seed: int, temperature: float = TEMPERATURE, top_k: int = TOP_K
) -> Tensor:
    """Continue `prompt` by `n_tokens` tokens, one at a time.

    Keys and values of earlier tokens are cached, so each new token costs one position instead of the whole context.
    Beyond block_size tokens the window moves, which changes all positions, so everything is recomputed for each token.

    Draws from its own generator, so that sampling never changes training.

    Args:
        prompt: int64 (T,), at least one token; only the last block_size are read.
        seed: of the generator.
        temperature: > 0 divides the logits; 0 takes the likeliest token.
        top_k: number of likeliest tokens to draw from.

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
        # Draw on the CPU in fp32, so that every device gives the same draw.
        logits = (hidden.float() @ model.token_embedding.weight.float().t())[0].cpu()
        idx = torch.cat((idx, draw_token(logits, generator, temperature, top_k).to(idx.device)[None]), dim=1)
    model.train(was_training)
    return idx[0]


def draw_token(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int) -> Tensor:
    """Logits float32 (V,) -> token id int64 (1,). Non-finite logits (a diverged model) give token 0."""
    if not bool(torch.isfinite(logits).all()):
        return torch.zeros(1, dtype=torch.int64)
    if temperature == 0:
        return logits.argmax(keepdim=True)
    top, ids = torch.topk(logits / temperature, min(top_k, logits.numel()))
    return ids[torch.multinomial(torch.softmax(top, 0), 1, generator=generator)]
