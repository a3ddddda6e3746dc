"""What models without any context or with one token of context reach on a corpus: what a trained GPT has to beat.

A run that ends above the bigram loss has learned less than a table of pairs that takes a tenth of a second to count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gptexp.data.corpus import cache_dir
from gptexp.errors import GptexpError
from gptexp.files import read_bytes, replace_file

if TYPE_CHECKING:
    from gptexp.data.batches import Tokens

MOST_TOKENS = 20_000_000
"""Counting more would take gigabytes of memory: such a corpus has no baselines."""
FORMAT = 1
"""Version in the file names; increase it when the same tokens give other losses."""


@dataclass(frozen=True)
class Baselines:
    """Val losses of counted models, nats per token."""

    unigram: float
    """How often each token is, whatever stands before it."""
    bigram: float
    """How often each token is behind the one before it."""


def load_baselines(tokens: Tokens) -> Baselines | None:
    """The baselines of a tokenized corpus, counted once and then taken from the cache folder.

    Returns:
        None of a corpus of more than `MOST_TOKENS`, and of one with fewer than two val tokens.
    """
    if len(tokens.train) > MOST_TOKENS or not len(tokens.train) or len(tokens.val) < 2:
        return None
    tokenizer = tokens.tokenizer
    name = f"{tokens.corpus.checksum[:16]}-{tokenizer.name}-{tokenizer.checksum[:16]}-v{FORMAT}.json"
    path = cache_dir() / "baselines" / name
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        known = json.loads(read_bytes(path))
        return Baselines(float(known["unigram"]), float(known["bigram"]))
    counted = count_baselines(tokens.train, tokens.val, tokenizer.vocab_size)
    # Whoever can't write to the cache counts again next time.
    with contextlib.suppress(OSError, GptexpError):
        replace_file(path, json.dumps(dataclasses.asdict(counted)).encode())
    return counted


def count_baselines(train: npt.NDArray[np.integer], val: npt.NDArray[np.integer], vocab_size: int) -> Baselines:
    """Count the train tokens, and predict every val token that has one before it.

    Pairs that the train split doesn't hold get what is left by Witten-Bell smoothing, which has no setting to choose:
    a token that was followed by many kinds of tokens keeps more for those that it was never followed by.

    Args:
        train: token ids, int (n,), at least one.
        val: token ids, int (m,), at least two.
        vocab_size: ids lie in 0 <= id < vocab_size.

    Source: Witten and Bell 1991, "The zero-frequency problem", method C; as interpolation in Chen and Goodman 1999, "An
    empirical study of smoothing techniques for language modeling", section 2.4.
    """
    train, val = train.astype(np.int64), val.astype(np.int64)
    counts = np.bincount(train, minlength=vocab_size)
    kinds = np.count_nonzero(counts)
    unigram = (counts + kinds / vocab_size) / (train.size + kinds)
    pairs, pair_counts = np.unique(train[:-1] * vocab_size + train[1:], return_counts=True)
    followed = np.bincount(train[:-1], minlength=vocab_size)
    followers = np.bincount(pairs // vocab_size, minlength=vocab_size)
    before, after = val[:-1], val[1:]
    seen = look_up(pairs, pair_counts, before * vocab_size + after)
    total = followed[before] + followers[before]
    bigram = np.where(total > 0, (seen + followers[before] * unigram[after]) / np.maximum(total, 1), unigram[after])
    return Baselines(float(-np.log(unigram[after]).mean()), float(-np.log(bigram).mean()))


def look_up(
    keys: npt.NDArray[np.int64], values: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The value of each wanted key, 0 where it isn't there.

    Args:
        keys: sorted, int64 (n,).
        values: int64 (n,).
        wanted: int64 (m,).
    """
    if not keys.size:
        return np.zeros_like(wanted)
    places = np.searchsorted(keys, wanted).clip(max=keys.size - 1)
    return np.where(keys[places] == wanted, values[places], 0)
