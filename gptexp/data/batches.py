"""Token files on disk, and the windows of them that train and evaluate a model.

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
"""Of the characters. Source: nanoGPT, data/shakespeare_char/prepare.py."""

TOKENS_FORMAT = 1
"""Part of the file names; bump it when the same corpus and tokenizer give other token files."""

STEM = re.compile(r"[0-9a-f]{16}-(gpt2|char)-[0-9a-f]{16}-v[0-9]+")
"""How the names of token files begin."""

TRAIN_BATCH_TAG = 0x7472
EPOCH_TAG = 0x6570
"""Keeps this stream apart from other generators that are seeded with the same (seed, step)."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """A tokenized corpus: `train` and `val` are read-only uint16 (N,), memory-mapped."""

    train: TokenIds
    val: TokenIds
    tokenizer: Tokenizer
    corpus: Corpus


def load_tokens(corpus: Corpus, tokenizer_name: str) -> Tokens:
    """Split a corpus 90/10 by characters, tokenize each side on its own, and keep both as files in the cache folder.

    The files are named by the checksums of corpus and tokenizer, so they are made once. Each is written beside its
    place and moved there: two processes that do it at the same time write the same bytes and neither sees half a file.

    Raises:
        GptexpError: an unknown tokenizer, or a cache folder that is full or can't be written.
    """
    tokenizer = _load_tokenizer(tokenizer_name, corpus)
    folder = cache_dir() / "tokens"
    stem = _name_files(corpus.checksum, tokenizer.name, tokenizer.checksum)
    if not _is_intact(folder, stem):
        cut = int(TRAIN_FRACTION * len(corpus.text))
        sides = {"train": corpus.text[:cut], "val": corpus.text[cut:]}
        _write_cache(folder, stem, {side: tokenizer.encode(text) for side, text in sides.items()})
    train, val = _map_both(folder, stem)
    return Tokens(train, val, tokenizer, corpus)


def find_cached(corpus_checksum: str, tokenizer_name: str, tokenizer_checksum: str) -> tuple[TokenIds, TokenIds] | None:
    """The train and val tokens, uint16 (N,), of a corpus of which only the checksum is known; None where it is not in
    the cache whole. The arguments may be a stranger's.
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
    """Whether both files are there with the sizes and SHA-256 that the sidecar, written last, gives them."""
    try:
        entries = json.loads(read_bytes(folder / f"{stem}.json"))
        for side in ("train", "val"):
            path = _tokens_path(folder, stem, side)
            # The size is looked at first: it is free, and finds a truncated file of any length.
            if size_of(path) != 2 * entries[side]["tokens"]:
                return False
            check_sha256(path, entries[side]["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return True


def _map_tokens(path: Path) -> TokenIds:
    # An empty file can't be mapped; `check_length` is who refuses it.
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

    The whole state is (seed, step). Windows are drawn one after the other, so the first windows of a larger batch are
    those of a smaller one, and 2 micro-batches of 8 hold the windows of 1 of 16.

    Args:
        tokens: uint16 (N,), N > block_size.
        seed: at least 0.
        step: at least 0.

    Yields:
        `grad_accum_steps` pairs of inputs and targets, int64 (batch_size, block_size); the targets are the inputs
        shifted by one.

    Source: nanoGPT, train.py, get_batch.
    """
    # Philox's raw words, not Generator.integers: NumPy promises that the former never change (NEP 19). The remainder
    # favours small positions by less than N / 2^64.
    words = np.random.Philox(np.random.SeedSequence([TRAIN_BATCH_TAG, seed, step]))
    drawn = np.asarray(words.random_raw(grad_accum_steps * batch_size), np.uint64)
    starts = (drawn % np.uint64(len(tokens) - block_size)).astype(np.int64)
    for micro in starts.reshape(grad_accum_steps, batch_size):
        yield _windows(tokens, micro, block_size)


def epoch_batch(
    tokens: TokenIds, *, seed: int, step: int, batch_size: int, grad_accum_steps: int, block_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The micro-batches of one optimizer step: chunks side by side, each once an epoch, in a new order each epoch.

    The lesson's Dataset of chunks behind `DataLoader(shuffle=True)`, asked for again when it is through; only that the
    next epoch begins within a batch, where a loader would make that batch shorter. The whole state is (seed, step).

    Args:
        tokens: uint16 (N,), N > block_size. Tokens behind the last whole chunk are never seen.
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
    # By sorting raw words: see train_batch.
    words = np.random.Philox(np.random.SeedSequence([EPOCH_TAG, seed, epoch])).random_raw(n_chunks)
    return np.argsort(np.asarray(words, np.uint64), kind="stable").astype(np.int64)


SAMPLERS = {"random": train_batch, "epochs": epoch_batch}
"""How the windows of a step are drawn, by the config field `sampler`."""


def outlier_batch(
    tokens: TokenIds, *, seed: int, step: int, batch_size: int, grad_accum_steps: int, block_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """A batch that makes a gradient spike: the rarest token of the split (lowest id among ties) at every position.

    Same arguments and shapes as `train_batch`, so that one can stand for the other; `seed` and `step` change nothing.
    """
    counts = np.bincount(tokens)
    occurring = np.flatnonzero(counts)
    rarest = int(occurring[np.argmin(counts[occurring])])
    for _ in range(grad_accum_steps):
        x = torch.full((batch_size, block_size), rarest, dtype=torch.int64)
        yield x, x.clone()


EVAL_BATCH_TOKENS = 4096
"""Predicted at once by an evaluation: enough to keep the products busy, and without gradients some tens of MB."""


def val_windows(
    tokens: TokenIds, *, block_size: int, limit: int | None, batch_size: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows side by side, in order: each token after the first is a target exactly once.

    Args:
        tokens: uint16 (N,).
        limit: None for the whole split, else the number of windows: a fixed, evenly spaced subset of full windows
            without repeats, or all full windows where there are fewer.
        batch_size: windows at once; it decides memory and time, not which windows. None takes what fits
            `EVAL_BATCH_TOKENS`, at least one.

    Yields:
        Inputs and targets, int64 (B, T), B <= batch_size, T = block_size; when the last window is shorter (only with
        limit=None) it comes alone, (1, T) with T < block_size.
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
