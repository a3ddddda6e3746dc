"""Counted models: by hand, as distributions, and on the real text."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from gptexp.data.baselines import Baselines, count_baselines, load_baselines
from gptexp.data.batches import load_tokens
from gptexp.data.corpus import TINYSHAKESPEARE_SHA256, load_corpus, make_corpus
from gptexp.training.flags import KNOWN_BIGRAM_LOSSES
from tests.data.test_batches import REAL_TEXT


def test_by_hand() -> None:
    """abab|ab over three tokens: P(b) = (2 + 2/3)/(4 + 2), P(b after a) = (2 + 1·P(b))/(2 + 1)."""
    found = count_baselines(np.array([0, 1, 0, 1]), np.array([0, 1]), 3)
    b = (2 + 2 / 3) / 6
    assert found.unigram == pytest.approx(-math.log(b))
    assert found.bigram == pytest.approx(-math.log((2 + b) / 3))


def test_what_was_never_seen_has_a_loss_too() -> None:
    """A token that is not in the train split, behind one that isn't either: still a finite loss."""
    found = count_baselines(np.array([0, 1, 1]), np.array([2, 3]), 4)
    assert found.bigram == pytest.approx(-math.log((2 / 4) / (3 + 2)))
    assert found.bigram == found.unigram
    assert math.isfinite(count_baselines(np.array([0]), np.array([1, 0]), 2).bigram)


def test_they_are_distributions() -> None:
    """Over all tokens the predictions behind each token sum to 1."""
    train = np.random.default_rng(0).integers(0, 5, 60)
    for before in range(6):
        total = sum(math.exp(-count_baselines(train, np.array([before, after]), 6).bigram) for after in range(6))
        assert total == pytest.approx(1)


@pytest.mark.real_text
@pytest.mark.skipif(REAL_TEXT is None, reason="no TinyShakespeare in GPTEXP_DATA_DIR or the cache")
@pytest.mark.parametrize(
    ("tokenizer", "unigram", "bigram"), [("char", 3.347305, 2.485738), ("gpt2", 6.457780, 5.060066)]
)
def test_tinyshakespeare(tokenizer: str, unigram: float, bigram: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nats per character and per GPT-2 token, as a program of its own has counted them."""
    assert REAL_TEXT is not None
    monkeypatch.setenv("GPTEXP_DATA_DIR", str(REAL_TEXT.parent))
    tokens = load_tokens(load_corpus("tinyshakespeare"), tokenizer)
    found = count_baselines(tokens.train, tokens.val, tokens.tokenizer.vocab_size)
    assert found.unigram == pytest.approx(unigram, abs=1e-6)
    assert found.bigram == pytest.approx(bigram, abs=1e-6)
    # What older records are read with.
    assert found.bigram == pytest.approx(KNOWN_BIGRAM_LOSSES[TINYSHAKESPEARE_SHA256, tokenizer], rel=1e-12)


def test_they_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time they come from the cache folder; a damaged file there is counted anew, and so is another text."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path))
    tokens = load_tokens(make_corpus("a", "the cat sat on the mat. " * 40, "a test"), "char")
    counted = load_baselines(tokens)
    assert counted == count_baselines(tokens.train, tokens.val, tokens.tokenizer.vocab_size)
    (path,) = (tmp_path / "baselines").iterdir()
    path.write_text('{"unigram": 1.5, "bigram": 0.5}')
    assert load_baselines(tokens) == Baselines(1.5, 0.5)
    path.write_text("{")
    assert load_baselines(tokens) == counted
    assert load_baselines(load_tokens(make_corpus("b", "on the mat the cat sat. " * 40, "a test"), "char")) != counted


def test_a_text_too_large_to_count_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than to take gigabytes of memory."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("gptexp.data.baselines.MOST_TOKENS", 100)
    assert load_baselines(load_tokens(make_corpus("a", "the cat sat on the mat. " * 40, "a test"), "char")) is None
