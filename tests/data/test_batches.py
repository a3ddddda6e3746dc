from __future__ import annotations

import errno
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gptexp.data import batches as module
from gptexp.data.batches import Tokens, check_length, epoch_batch, load_tokens, outlier_batch, train_batch, val_windows
from gptexp.data.corpus import TINYSHAKESPEARE_FILES, Corpus, cache_dir, load_corpus
from gptexp.data.tokenizer import load_gpt2_tokenizer
from gptexp.errors import GptexpError

# Asked when the module is imported, before the fixtures hide the user's own cache.
REAL_TEXT = next(
    (
        Path(folder) / file
        for folder in (os.environ.get("GPTEXP_DATA_DIR"), cache_dir())
        for file in TINYSHAKESPEARE_FILES
        if folder and (Path(folder) / file).is_file()
    ),
    None,
)
COUNTING = np.arange(1000, dtype=np.uint16)
"""Every token is its own position, so that a window shows where it was cut."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))


def draw(seed: int = 1, step: int = 0, batch_size: int = 4, grad_accum_steps: int = 2, block_size: int = 8) -> Tensor:
    """All inputs of a train batch over COUNTING, int64 (windows, block_size)."""
    batch = train_batch(
        COUNTING, seed=seed, step=step, batch_size=batch_size, grad_accum_steps=grad_accum_steps, block_size=block_size
    )
    return torch.cat([x for x, _ in batch])


# Token files


@pytest.mark.real_text
@pytest.mark.skipif(REAL_TEXT is None, reason="no TinyShakespeare in GPTEXP_DATA_DIR or the cache")
@pytest.mark.parametrize(("name", "train", "val"), [("gpt2", 301_966, 36_059), ("char", 1_003_854, 111_540)])
def test_tinyshakespeare_token_counts(name: str, train: int, val: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Split by characters 90/10 and then tokenized, TinyShakespeare has the counts that nanoGPT reports."""
    assert REAL_TEXT is not None
    monkeypatch.setenv("GPTEXP_DATA_DIR", str(REAL_TEXT.parent))
    tokens = load_tokens(load_corpus("tinyshakespeare"), name)
    assert (len(tokens.train), len(tokens.val)) == (train, val)
    assert tokens.tokenizer.vocab_size == {"gpt2": 50_257, "char": 65}[name]


@pytest.mark.parametrize("name", ["gpt2", "char"])
def test_sides_are_split_by_characters(name: str, tiny_corpus: Path) -> None:
    """The first 90% of the characters are train, the rest val, nothing is lost; both are uint16 memory maps."""
    corpus = load_corpus(str(tiny_corpus))
    tokens = load_tokens(corpus, name)
    cut = int(0.9 * len(corpus.text))
    assert tokens.tokenizer.decode(tokens.train.tolist()) == corpus.text[:cut]
    assert tokens.tokenizer.decode(tokens.val.tolist()) == corpus.text[cut:]
    for ids in (tokens.train, tokens.val):
        assert isinstance(ids, np.memmap)
        assert ids.dtype == np.uint16
        assert not ids.flags.writeable


def test_files_are_made_once(tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second load reads the files; another tokenizer and another text have files of their own."""
    corpus = load_corpus(str(tiny_corpus))
    first = load_tokens(corpus, "gpt2")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_cache", lambda *_: pytest.fail("written again"))
        assert np.array_equal(load_tokens(corpus, "gpt2").train, first.train)
    load_tokens(corpus, "char")
    tiny_corpus.write_text(corpus.text + "more")
    load_tokens(load_corpus(str(tiny_corpus)), "gpt2")
    assert len(list((cache_dir() / "tokens").glob("*.bin"))) == 6


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "empty sidecar", "other sidecar"])
def test_spoilt_files_are_made_anew(damage: str, tiny_corpus: Path) -> None:
    """A cached file of another size or content never reaches a run."""
    corpus = load_corpus(str(tiny_corpus))
    good = np.array(load_tokens(corpus, "gpt2").val)
    (val,) = (cache_dir() / "tokens").glob("*-val.bin")
    (sidecar,) = (cache_dir() / "tokens").glob("*.json")
    contents = val.read_bytes()
    if damage == "truncated":
        val.write_bytes(contents[:-2])
    elif damage == "changed":
        val.write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))
    elif damage == "missing":
        val.unlink()
    else:
        sidecar.write_text("" if damage == "empty sidecar" else json.dumps([1]))
    assert np.array_equal(load_tokens(corpus, "gpt2").val, good)
    assert val.read_bytes() == contents


def _load_at_once(path: str, start: object, answers: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    tokens = load_tokens(load_corpus(path), "char")
    answers.put((int(tokens.train.sum()), int(tokens.val.sum())))  # type: ignore[attr-defined]


def test_processes_may_write_at_once(tiny_corpus: Path) -> None:
    """Jobs that start together on an empty cache all get the same tokens and leave no temporary file."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(3), context.Queue()
    jobs = [context.Process(target=_load_at_once, args=(str(tiny_corpus), start, answers)) for _ in range(3)]
    for job in jobs:
        job.start()
    found = {answers.get(timeout=60) for _ in jobs}
    for job in jobs:
        job.join()
    tokens = load_tokens(load_corpus(str(tiny_corpus)), "char")
    assert found == {(int(tokens.train.sum()), int(tokens.val.sum()))}
    assert sorted(path.suffix for path in (cache_dir() / "tokens").iterdir()) == [".bin", ".bin", ".json"]


def test_a_reader_never_sees_half_a_file(tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that dies before the rename leaves nothing that counts as a token file."""

    def die(_: int) -> None:
        raise KeyboardInterrupt

    corpus = load_corpus(str(tiny_corpus))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            load_tokens(corpus, "gpt2")
    assert list(cache_dir().glob("tokens/*")) == []
    assert len(load_tokens(corpus, "gpt2").val) > 0


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, r"can't be written \(Permission denied\)")]
)
def test_full_disk_is_one_sentence(code: int, words: str, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk or a forbidden folder: the folder, the MB that are needed, and GPTEXP_CACHE_DIR as the way out."""

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(GptexpError, match=rf"need 0\.1 MB in .*tokens and .*{words}.*GPTEXP_CACHE_DIR") as error:
        load_tokens(load_corpus(str(tiny_corpus)), "char")
    assert "\n" not in str(error.value)
    assert list((cache_dir() / "tokens").iterdir()) == []


def test_unknown_tokenizer_is_refused(tiny_corpus: Path) -> None:
    """The known ones are named."""
    with pytest.raises(GptexpError, match="tokenizer 'bert' is unknown; use gpt2 or char"):
        load_tokens(load_corpus(str(tiny_corpus)), "bert")


def test_short_splits_are_refused(tmp_path: Path) -> None:
    """A split needs a window and its last target; one more token is enough, one fewer is named with the fix."""
    (tmp_path / "short.txt").write_text("abcdefghij" * 10)
    tokens = load_tokens(load_corpus(str(tmp_path / "short.txt")), "char")
    assert (len(tokens.train), len(tokens.val)) == (90, 10)
    check_length(tokens, block_size=9)
    with pytest.raises(GptexpError, match=r"val split .* has 10 char tokens and block_size=10 needs at least 11"):
        check_length(tokens, block_size=10)
    with pytest.raises(GptexpError, match=r"train split .*longer text or a smaller block_size"):
        check_length(tokens, block_size=90)


def test_one_character_is_refused_by_its_length(tmp_path: Path) -> None:
    """A split without any token (which no memory map can hold) is refused like any other short one."""
    (tmp_path / "one.txt").write_text("a")
    tokens = load_tokens(load_corpus(str(tmp_path / "one.txt")), "gpt2")
    with pytest.raises(GptexpError, match=r"train split .* has 0 gpt2 tokens"):
        check_length(tokens, block_size=1)


# Train batches


def test_targets_are_inputs_shifted_by_one() -> None:
    """Every position predicts the token that follows it, in every micro-batch."""
    micros = list(train_batch(COUNTING, seed=3, step=7, batch_size=5, grad_accum_steps=3, block_size=16))
    assert len(micros) == 3
    for x, y in micros:
        assert x.shape == y.shape == (5, 16)
        assert x.dtype == y.dtype == torch.int64
        assert torch.equal(y, x + 1)
        assert torch.equal(x[:, 1:], y[:, :-1])


def test_seed_and_step_are_the_whole_state() -> None:
    """The same (seed, step) gives the same windows, whatever was drawn before; another seed or step gives others."""
    torch.manual_seed(0)
    np.random.seed(0)
    once = draw(seed=5, step=9)
    for step in range(9):
        draw(seed=5, step=step)
    assert torch.equal(draw(seed=5, step=9), once)
    others = [draw(seed=5, step=10), draw(seed=6, step=9), draw(seed=9, step=5)]
    assert not any(torch.equal(other, once) for other in others)


def test_sampler_never_changes() -> None:
    """Golden starts: another stream would silently make old runs incomparable (bump ENGINE_VERSION with it)."""
    assert draw(seed=1337, step=0, batch_size=4, grad_accum_steps=1)[:, 0].tolist() == [799, 496, 192, 432]


def test_larger_batches_begin_with_the_smaller() -> None:
    """Batch size studies stay paired; and accumulating 4 micro-batches of 2 sees the windows of 1 batch of 8."""
    small, large = draw(batch_size=3, grad_accum_steps=1), draw(batch_size=8, grad_accum_steps=1)
    assert torch.equal(large[:3], small)
    assert torch.equal(draw(batch_size=2, grad_accum_steps=4), large)


def test_windows_start_anywhere() -> None:
    """Starts are uniform over all positions that leave room for the last target, the first and the last included."""
    starts = torch.cat([draw(step=step, batch_size=100, block_size=990)[:, 0] for step in range(100)])
    counts = np.bincount(starts.numpy())
    assert len(counts) == 10
    assert counts.min() > 0.9 * counts.mean()
    shortest = next(train_batch(COUNTING, seed=0, step=0, batch_size=2, grad_accum_steps=1, block_size=999))
    assert shortest[1][:, -1].tolist() == [999, 999]


def test_outlier_batch_repeats_the_rarest_token() -> None:
    """The rarest id that occurs, the lowest among ties, at every position, in the shape of a train batch."""
    tokens = np.array([7, 7, 5, 9, 9, 3, 3, 8], np.uint16)
    micros = list(outlier_batch(tokens, seed=0, step=1, batch_size=2, grad_accum_steps=3, block_size=4))
    assert len(micros) == 3
    for x, y in micros:
        assert torch.equal(x, torch.full((2, 4), 5))
        assert torch.equal(x, y)


# Val windows


@pytest.mark.parametrize("length", [1, 2, 8, 9, 10, 16, 17, 18, 64, 65, 66, 999, 1000])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_each_token_is_predicted_exactly_once(length: int, batch_size: int) -> None:
    """Over the whole split every token after the first is a target once, also around multiples of the window."""
    windows = list(val_windows(COUNTING[:length], block_size=8, batch_size=batch_size, limit=None))
    targets = [t for _, y in windows for t in y.flatten().tolist()]
    assert targets == list(range(1, length))
    assert all(torch.equal(y, x + 1) and len(x) <= batch_size for x, y in windows)
    assert all(x.shape[1] == 8 for x, _ in windows[:-1])


@pytest.mark.parametrize("limit", [1, 6, 35, 123, 124, 800])
def test_subset_is_fixed_spread_and_without_repeats(limit: int) -> None:
    """A limited evaluation sees the same full windows in batches of any size, spread over the split, none twice."""

    def starts(batch_size: int | None = None) -> list[int]:
        windows = val_windows(COUNTING, block_size=8, batch_size=batch_size, limit=limit)
        return [start for x, _ in windows for start in x[:, 0].tolist() if x.shape[1] == 8]

    found = starts()
    assert found == starts(1) == starts(7) == sorted(set(found))
    assert len(found) == min(limit, 124)
    assert all(start % 8 == 0 for start in found)
    gaps = np.diff(found)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 8


def test_limit_beyond_the_split_gives_full_windows_only() -> None:
    """Where the split has fewer windows than the subset asks for, all full ones come, and not the short last one."""
    shapes = [tuple(x.shape) for x, _ in val_windows(COUNTING[:30], block_size=8, batch_size=2, limit=50)]
    assert shapes == [(2, 8), (1, 8)]


def test_tokens_hold_what_they_were_made_from(tiny_corpus: Path) -> None:
    """A run reads corpus and tokenizer checksums off its tokens."""
    corpus: Corpus = load_corpus(str(tiny_corpus))
    tokens: Tokens = load_tokens(corpus, "gpt2")
    assert tokens.corpus is corpus
    assert tokens.tokenizer is load_gpt2_tokenizer()


# Epochs


def draw_epochs(seed: int, steps: range, batch_size: int = 5, grad_accum_steps: int = 1, block_size: int = 8) -> Tensor:
    """Where the windows of `steps` start over COUNTING, int64 (windows,)."""
    shape = {"batch_size": batch_size, "grad_accum_steps": grad_accum_steps, "block_size": block_size}
    return torch.cat([x[:, 0] for step in steps for x, _ in epoch_batch(COUNTING, seed=seed, step=step, **shape)])


def test_each_chunk_comes_once_an_epoch_in_another_order() -> None:
    """124 chunks of 8: three epochs hold each chunk once, in three orders, wherever batches end."""
    starts = draw_epochs(1, range(1, 76))
    epochs = [starts[n * 124 : (n + 1) * 124] for n in range(3)]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(0, 992, 8))
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[1], epochs[2])


def test_epochs_follow_from_seed_and_step() -> None:
    """Any step can be drawn alone; another seed has another order; micro-batches share the windows of one batch."""
    steps = draw_epochs(3, range(1, 40))
    assert torch.equal(draw_epochs(3, range(30, 31)), steps[29 * 5 : 30 * 5])
    assert not torch.equal(draw_epochs(4, range(1, 40)), steps)
    assert torch.equal(draw_epochs(3, range(2, 4), batch_size=3, grad_accum_steps=2), draw_epochs(3, range(2, 4), 6))


def test_targets_of_chunks_reach_the_last_one() -> None:
    """Inputs and targets are shifted by one, and the last chunk has its last target in the text."""
    pairs = [
        pair
        for step in (1, 2)
        for pair in epoch_batch(COUNTING[:25], seed=0, step=step, batch_size=3, grad_accum_steps=1, block_size=8)
    ]
    for x, y in pairs:
        assert torch.equal(x + 1, y)
        assert sorted(x[:, 0].tolist()) == [0, 8, 16]
