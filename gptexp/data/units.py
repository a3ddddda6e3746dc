"""What a loss is per: the run's own token, and how that becomes the lesson's unit, nats per GPT-2 token.

A loss per character times the characters per GPT-2 token is the loss of the same text per GPT-2 token.
"""

from __future__ import annotations

from typing import Literal

from gptexp.data.corpus import TINYSHAKESPEARE_SHA256

Split = Literal["train", "val"]

GPT2_TOKENS: dict[str, dict[Split, int]] = {TINYSHAKESPEARE_SHA256: {"train": 301_966, "val": 36_059}}
"""Checksum of a corpus -> GPT-2 tokens of its splits. They are known for TinyShakespeare; records don't hold them."""


def count_per_gpt2_token(corpus_checksum: str, split: Split, n_tokens: float) -> float | None:
    """A run's own tokens per GPT-2 token on a split; None for a corpus whose GPT-2 tokens aren't known.

    Args:
        n_tokens: the run's own tokens of that split.
    """
    known = GPT2_TOKENS.get(corpus_checksum)
    return n_tokens / known[split] if known else None
