"""Samples text from a model."""

from __future__ import annotations

from collections.abc import Iterator

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


def generate(
    model: GPT, prompt: Tensor, n_tokens: int, *, seed: int, temperature: float = TEMPERATURE, top_k: int = TOP_K
) -> Tensor:
    """`prompt` and what `draw_tokens` continues it by: int64 (T + n_tokens,)."""
    drawn = list(draw_tokens(model, prompt, n_tokens, seed=seed, temperature=temperature, top_k=top_k))
    return torch.cat((prompt, torch.tensor(drawn, dtype=torch.int64, device=prompt.device)))


@torch.no_grad()
def draw_tokens(
    model: GPT,
    prompt: Tensor,
    n_tokens: int,
    *,
    seed: int,
    temperature: float = TEMPERATURE,
    top_k: int = TOP_K,
    top_p: float = 1.0,
) -> Iterator[int]:
    """Continue `prompt` by `n_tokens` tokens, one at a time.

    Keys and values of earlier tokens are cached, so each new token costs one position instead of the whole context.
    Beyond block_size tokens the window moves, which changes all positions, so everything is recomputed for each token.

    Draws from its own generator, so that sampling never changes training.

    Args:
        prompt: int64 (T,), at least one token; only the last block_size are read.
        seed: of the generator.
        temperature: > 0 divides the logits; 0 takes the likeliest token.
        top_k: number of likeliest tokens to draw from.
        top_p: the likeliest tokens that together have this probability are drawn from; 1 takes all of them.

    Yields:
        Token ids.
    """
    was_training = model.training
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    idx = prompt[None]
    caches = model.empty_caches(windows=1)
    try:
        for _ in range(n_tokens):
            if idx.shape[1] <= model.config.block_size:
                hidden = model.hidden(idx[:, caches[0].length :], caches)[:, -1]
            else:
                hidden = model.hidden(idx[:, -model.config.block_size :])[:, -1]
            # Draw on the CPU in fp32, so that every device gives the same draw.
            logits = (hidden.float() @ model.token_embedding.weight.float().t())[0].cpu()
            token = draw_token(logits, generator, temperature, top_k, top_p)
            idx = torch.cat((idx, token.to(idx.device)[None]), dim=1)
            yield int(token)
    finally:
        model.train(was_training)


COLDEST = 1e-30
"""Logits divided by a temperature below this may leave the range of float32; the draw is the likeliest token anyway."""


def draw_token(
    logits: Tensor, generator: torch.Generator, temperature: float, top_k: int, top_p: float = 1.0
) -> Tensor:
    """Logits float32 (V,) -> token id int64 (1,). Non-finite logits (a diverged model) give token 0.

    Source of top_p: Holtzman et al., "The Curious Case of Neural Text Degeneration", arXiv 1904.09751, section 3.1.
    """
    if not bool(torch.isfinite(logits).all()):
        return torch.zeros(1, dtype=torch.int64)
    if temperature < COLDEST:
        return logits.argmax(keepdim=True)
    top, ids = torch.topk(logits / temperature, min(top_k, logits.numel()))
    probabilities = torch.softmax(top, 0)
    if top_p < 1:
        # The smallest set that reaches top_p: a token belongs to it while those before it have less.
        probabilities = probabilities * (probabilities.cumsum(0) - probabilities < top_p)
    return ids[torch.multinomial(probabilities, 1, generator=generator)]
