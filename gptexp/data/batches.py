"""Token files on disk, and the windows of tokens that train and evaluate a model.

Batches hold no state: a train batch is a function of (seed, step), so every arm of a study sees the same windows for
the same seed, and a resumed run continues exactly where it stopped.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gptexp.data.corpus import Corpus, cache_dir
from gptexp.data.tokenizer import TokenIds, Tokenizer, char_tokenizer, load_gpt2_tokenizer
from gptexp.errors import GptexpError
from gptexp.files import check_sha256, read_bytes, replace_file, size_of

TRAIN_FRACTION = 0.9
"""Share of the characters that go into the train split. Source: nanoGPT, data/shakespeare_char/prepare.py."""

TOKENS_FORMAT = 1
"""Version in the file names; increase it when the same corpus and tokenizer give different token files."""

STEM = re.compile(r"[0-9a-f]{16}-(gpt2|char)-[0-9a-f]{16}-v[0-9]+")
"""Stem of the names of token files: corpus checksum, tokenizer, tokenizer checksum, format version."""

TRAIN_BATCH_TAG = 0x7472
EPOCH_TAG = 0x6570
"""Part of the random seed, so that this stream differs from other generators seeded with the same numbers."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """A tokenized corpus: `train` and `val` are read-only uint16 (N,), memory-mapped."""

    train: TokenIds
    val: TokenIds
    tokenizer: Tokenizer
    corpus: Corpus


def load_tokens(corpus: Corpus, tokenizer_name: str) -> Tokens:
    """Split a corpus 90/10 by characters, tokenize each split separately, and store both in the cache folder.

    The files are named by the checksums of corpus and tokenizer, so they are made only once. They are written
    atomically: two processes may do this at the same time, and neither sees an incomplete file.

    Raises:
        GptexpError: the tokenizer is unknown, or the cache folder is full or can't be written.
    """
    return load_tokens_of(corpus, _load_tokenizer(tokenizer_name, corpus))


def load_tokens_of(corpus: Corpus, tokenizer: Tokenizer) -> Tokens:
    """`load_tokens` with a tokenizer that need not be made of this corpus.

    Raises:
        GptexpError: the corpus has a character that the tokenizer lacks, or as `load_tokens`.
    """
    folder = cache_dir() / "tokens"
    stem = _name_files(corpus.checksum, tokenizer.name, tokenizer.checksum)
    if not _is_intact(folder, stem):
        cut = int(TRAIN_FRACTION * len(corpus.text))
        sides = {"train": corpus.text[:cut], "val": corpus.text[cut:]}
        _write_cache(folder, stem, {side: tokenizer.encode(text) for side, text in sides.items()})
    train, val = _map_both(folder, stem)
    return Tokens(train, val, tokenizer, corpus)


def find_cached(corpus_checksum: str, tokenizer_name: str, tokenizer_checksum: str) -> tuple[TokenIds, TokenIds] | None:
    """The cached train and val tokens, each uint16 (N,), of a corpus of which only the checksum is known.

    The arguments may come from a stranger's run folder.

    Returns:
        None if the tokens are not in the cache or are damaged.
    """
    stem = _name_files(corpus_checksum, tokenizer_name, tokenizer_checksum)
    folder = cache_dir() / "tokens"
    if not STEM.fullmatch(stem) or not _is_intact(folder, stem):
        return None
    return _map_both(folder, stem)


def _name_files(corpus_checksum: str, tokenizer_name: str, tokenizer_checksum: str) -> str:
    return f"{corpus_checksum[:16]}-{tokenizer_name}-{tokenizer_checksum[:16]}-v{TOKENS_FORMAT}"


def _map_both(folder: Path, stem: str) -> tuple[TokenIds, TokenIds]:
    return _map_tokens(_tokens_path(folder, stem, "train")), _map_tokens(_tokens_path(folder, stem, "val"))


def _load_tokenizer(name: str, corpus: Corpus) -> Tokenizer:
    if name == "gpt2":
        return load_gpt2_tokenizer()
    if name == "char":
        return char_tokenizer(corpus.text)
    raise GptexpError(f"tokenizer {name!r} is unknown; use gpt2 or char")


def _tokens_path(folder: Path, stem: str, side: str) -> Path:
    return folder / f"{stem}-{side}.bin"


def _is_intact(folder: Path, stem: str) -> bool:
    """Whether both files have the sizes and SHA-256 that the JSON file beside them, written last, gives."""
    try:
        entries = json.loads(read_bytes(folder / f"{stem}.json"))
        for side in ("train", "val"):
            path = _tokens_path(folder, stem, side)
            # The size is checked first, because it costs nothing and finds every truncated file.
            if size_of(path) != 2 * entries[side]["tokens"]:
                return False
            check_sha256(path, entries[side]["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return True


def _map_tokens(path: Path) -> TokenIds:
    # An empty file can't be mapped; `check_length` refuses it later with a clear message.
    return np.memmap(path, dtype="<u2", mode="r") if size_of(path) else np.empty(0, np.uint16)


def _write_cache(folder: Path, stem: str, sides: dict[str, TokenIds]) -> None:
    contents = {side: ids.astype("<u2").tobytes() for side, ids in sides.items()}
    entries = {s: {"tokens": len(b) // 2, "sha256": hashlib.sha256(b).hexdigest()} for s, b in contents.items()}
    try:
        for side, data in contents.items():
            replace_file(_tokens_path(folder, stem, side), data)
        replace_file(folder / f"{stem}.json", json.dumps(entries, indent=1))
    except OSError as error:
        megabytes = max(0.1, sum(map(len, contents.values())) / 1e6)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else f"it can't be written ({error.strerror})"
        raise GptexpError(
            f"the tokens of this corpus need {megabytes:.1f} MB in {folder} and {what}; free some space or point "
            f"GPTEXP_CACHE_DIR to another folder"
        ) from error


def check_length(tokens: Tokens, block_size: int) -> None:
    """Refuse a corpus whose train or val split is shorter than one window and its last target.

    Raises:
        GptexpError: with the numbers, and what to change.
    """
    for side, ids in (("train", tokens.train), ("val", tokens.val)):
        if len(ids) < block_size + 1:
            raise GptexpError(
                f"the {side} split of corpus {tokens.corpus.name!r} has {len(ids):,} {tokens.tokenizer.name} tokens "
                f"and block_size={block_size} needs at least {block_size + 1:,}; "
                f"use a longer text or a smaller block_size"
            )


def train_batch(
    tokens: TokenIds, *, seed: int, step: int, batch_size: int, grad_accum_steps: int, block_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The micro-batches of one optimizer step: windows that start at uniformly random positions.

    The batch depends on (seed, step) alone. Windows are drawn one after the other, so a larger batch starts with the
    windows of a smaller one, and 2 micro-batches of 8 hold the same windows as 1 of 16.

    Args:
        tokens: uint16 (N,), N > block_size.
        seed: at least 0.
        step: at least 0.

    Yields:
        `grad_accum_steps` pairs of inputs and targets, int64 (batch_size, block_size); the targets are the inputs
        shifted by one.

    Source: nanoGPT, train.py, get_batch.
    """
    # Philox's raw words instead of Generator.integers, because NumPy promises that only the former never change
    # (NEP 19). Taking the remainder favours small positions by less than N / 2^64.
    words = np.random.Philox(np.random.SeedSequence([TRAIN_BATCH_TAG, seed, step]))
    drawn = np.asarray(words.random_raw(grad_accum_steps * batch_size), np.uint64)
    starts = (drawn % np.uint64(len(tokens) - block_size)).astype(np.int64)
    for micro in starts.reshape(grad_accum_steps, batch_size):
        yield _windows(tokens, micro, block_size)


def epoch_batch(
    tokens: TokenIds, *, seed: int, step: int, batch_size: int, grad_accum_steps: int, block_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The micro-batches of one optimizer step: non-overlapping chunks, each once per epoch, reshuffled every epoch.

    Equivalent to the lesson's Dataset of chunks with `DataLoader(shuffle=True)`, restarted after each epoch, with one
    difference: where the loader would make the last batch of an epoch shorter, this one continues with the chunks of
    the next epoch. The batch depends on (seed, step) alone.

    Args:
        tokens: uint16 (N,), N > block_size. Tokens after the last whole chunk are never used.
        seed: at least 0.
        step: at least 1.

    Yields:
        As `train_batch`.
    """
    n_chunks = (len(tokens) - 1) // block_size
    per_step = grad_accum_steps * batch_size
    for first in range((step - 1) * per_step, step * per_step, batch_size):
        places = [divmod(number, n_chunks) for number in range(first, first + batch_size)]
        chunks = np.array([_shuffle(seed, epoch, n_chunks)[place] for epoch, place in places], dtype=np.int64)
        yield _windows(tokens, chunks * block_size, block_size)


@functools.lru_cache(maxsize=8)
def _shuffle(seed: int, epoch: int, n_chunks: int) -> npt.NDArray[np.int64]:
    """The order of an epoch: int64 (n_chunks,), a permutation."""
    # Sort Philox's raw words, which never change between NumPy versions: see train_batch.
    words = np.random.Philox(np.random.SeedSequence([EPOCH_TAG, seed, epoch])).random_raw(n_chunks)
    return np.argsort(np.asarray(words, np.uint64), kind="stable").astype(np.int64)


SAMPLERS = {"random": train_batch, "epochs": epoch_batch}
"""The functions that draw the windows of a step, by the value of the config field `sampler`."""


def outlier_batch(
    tokens: TokenIds, *, seed: int, step: int, batch_size: int, grad_accum_steps: int, block_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """A batch that causes a gradient spike: the rarest token of the split (lowest id among ties) at every position.

    Same arguments and shapes as `train_batch`, so that it can replace one; `seed` and `step` have no effect.
    """
    counts = np.bincount(tokens)
    occurring = np.flatnonzero(counts)
    rarest = int(occurring[np.argmin(counts[occurring])])
    for _ in range(grad_accum_steps):
        x = torch.full((batch_size, block_size), rarest, dtype=torch.int64)
        yield x, x.clone()


EVAL_BATCH_TOKENS = 4096
"""Tokens per forward pass of an evaluation: enough for fast matrix products, at some tens of MB without gradients."""


def val_windows(
    tokens: TokenIds, *, block_size: int, limit: int | None, batch_size: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Non-overlapping windows in order. Without a limit, each token after the first is a target exactly once.

    Args:
        tokens: uint16 (N,).
        limit: None for the whole split. Else the number of windows: a fixed, evenly spaced subset of the full windows
            without repeats, or all full windows if there are fewer.
        batch_size: windows per batch; affects memory and time, not which windows are taken. None takes as many as fit
            `EVAL_BATCH_TOKENS`, at least one.

    Yields:
        Inputs and targets, int64 (B, T), B <= batch_size, T = block_size. With limit=None a shorter last window follows
        alone, (1, T) with T < block_size.
    """
    batch_size = max(1, EVAL_BATCH_TOKENS // block_size) if batch_size is None else batch_size
    full, rest = divmod(max(len(tokens) - 1, 0), block_size)
    chosen: npt.NDArray[np.int64] = np.arange(full, dtype=np.int64)
    if limit is not None and limit < full:
        chosen = chosen[:limit] * full // max(limit, 1)
    for first in range(0, len(chosen), batch_size):
        yield _windows(tokens, chosen[first : first + batch_size] * block_size, block_size)
    if rest and limit is None:
        yield _windows(tokens, np.array([full * block_size]), rest)


def _windows(tokens: TokenIds, starts: npt.NDArray[np.int64], length: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets, int64 (B, length), of the windows at `starts` (B,)."""
    window = torch.from_numpy(tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64))
    return window[:, :-1].contiguous(), window[:, 1:].contiguous()
