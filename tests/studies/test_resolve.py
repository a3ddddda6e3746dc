"""Run ids: equal where the numbers are, different where they may differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gptexp.config import build_config
from gptexp.errors import GptexpError
from gptexp.identity import identity_hash
from gptexp.studies import resolve
from gptexp.studies.resolve import resolve_run
from gptexp.version import ENGINE_VERSION, LATER_FIELDS
from tests.studies.tiny import TINY, run_tiny, write_corpus

IDS_OF_ENGINE_3 = {
    "constant": "f370bbf9b170",
    "warmup-constant": "4593dc490dc8",
    "warmup-cosine": "bab1d3906377",
    "warmup-linear": "00e7e0d134e1",
    "wsd": "aef55ed94ba6",
}
"""Schedule -> the id of a tiny run."""


def run_id(corpus: Path, **changes: object) -> str:
    return resolve_run(build_config({**TINY, **changes}), str(corpus)).run_id


def test_what_decides_numbers_changes_the_id(tiny_corpus: Path) -> None:
    """Learning rate, seed, threads, precision: each makes another run."""
    ids = [
        run_id(tiny_corpus),
        run_id(tiny_corpus, lr=1e-3),
        run_id(tiny_corpus, seed=1),
        run_id(tiny_corpus, threads=2),
        run_id(tiny_corpus, precision="bf16"),
        run_id(tiny_corpus, compile=True),
        run_id(tiny_corpus, sample_interval=None),
        run_id(tiny_corpus, sampler="epochs"),
        run_id(tiny_corpus, optimizer="sgd"),
    ]
    assert len(set(ids)) == len(ids)


def test_what_decides_nothing_keeps_it(tiny_corpus: Path, tmp_path: Path) -> None:
    """Spelled-out defaults, checkpoints, phases of a constant rate, and the place of the corpus change nothing."""
    assert run_id(tiny_corpus) == run_id(tiny_corpus, checkpoint_interval=5)
    assert run_id(tiny_corpus) == run_id(tiny_corpus, min_lr=3e-4, device="cpu", precision="auto")
    constant = run_id(tiny_corpus, schedule="constant")
    assert constant == run_id(tiny_corpus, schedule="constant", warmup_steps=3, min_lr=1e-5)
    copy = tmp_path / "elsewhere.txt"
    copy.write_bytes(tiny_corpus.read_bytes())
    assert run_id(tiny_corpus) == run_id(copy)


def test_runs_from_before_a_field_keep_their_ids(tiny_corpus: Path) -> None:
    """A config.json without a later field names the same run as one that holds its default."""
    run = resolve_run(build_config(TINY), str(tiny_corpus))
    before = {name: value for name, value in run.content["config"].items() if name not in LATER_FIELDS}
    assert before != run.content["config"]
    checksums = run.content["corpus"]["checksum"], run.content["tokenizer"]["checksum"]
    assert identity_hash(before, run.content["engine_version"], *checksums) == run.run_id


def test_a_run_of_today_keeps_its_id(tmp_path: Path) -> None:
    """An id is no other for a new field, a new optimizer or a new schedule: only another ENGINE_VERSION changes it."""
    corpus = tmp_path / "corpus.txt"
    write_corpus(corpus)
    settled = {"precision": "fp32", "device": "cpu", "threads": 1}
    found = {name: run_id(corpus, schedule=name, **settled) for name in IDS_OF_ENGINE_3}
    assert ENGINE_VERSION == 3, "write down the ids of the new engine"
    assert found == IDS_OF_ENGINE_3


def test_the_text_is_part_of_it(tiny_corpus: Path, tmp_path: Path) -> None:
    """One character more is another corpus, and another run."""
    other = tmp_path / "other.txt"
    other.write_text(tiny_corpus.read_text() + "x")
    assert run_id(tiny_corpus) != run_id(other)


def test_an_engine_that_computes_otherwise_makes_other_runs(tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENGINE_VERSION is part of the id; source text and docstrings are not."""
    before = run_id(tiny_corpus)
    monkeypatch.setattr(resolve, "ENGINE_VERSION", 99)
    assert run_id(tiny_corpus) != before


def test_everything_is_settled(tiny_corpus: Path) -> None:
    """The resolved config has no auto and no open default, and building a run from it gives the same id."""
    run = resolve_run(build_config({**TINY, "precision": "auto", "device": "auto"}), str(tiny_corpus))
    assert run.config.precision in ("fp32", "bf16")
    assert run.config.device in ("cpu", "cuda", "mps")
    assert None not in (run.config.vocab_size, run.config.warmup_steps, run.config.min_lr)
    assert resolve_run(run.config, str(tiny_corpus)).run_id == run.run_id


def test_a_vocabulary_too_small_is_refused(tiny_corpus: Path) -> None:
    """A model with fewer rows than the tokenizer has tokens would index outside its embedding."""
    with pytest.raises(GptexpError, match="vocab_size=5 is smaller"):
        run_id(tiny_corpus, vocab_size=5)


def test_a_prompt_that_the_corpus_cannot_spell_is_refused(tmp_path: Path) -> None:
    """A prompt with characters that the text lacks is refused before any training, with one that would do."""
    corpus = tmp_path / "line.txt"
    corpus.write_text("to be or not to be that is the question " * 40)
    with pytest.raises(GptexpError, match=r"sample_prompt='ü' can't be written.*such as sample_prompt='to'"):
        run_id(corpus, sample_prompt="ü")
    assert run_id(corpus, sample_prompt="to")


def test_a_text_without_line_feeds_trains_as_it_is(tmp_path: Path) -> None:
    """The usual prompt is a line feed; where a text has none, samples begin with a space or its first character."""
    corpus = tmp_path / "line.txt"
    corpus.write_text("to be or not to be that is the question " * 40)
    assert resolve_run(build_config(TINY), str(corpus)).config.sample_prompt == " "
    corpus.with_name("dense.txt").write_text("tobeornottobe" * 90)
    assert resolve_run(build_config(TINY), str(corpus.with_name("dense.txt"))).config.sample_prompt == "t"
    run, _ = run_tiny(tmp_path, corpus, max_steps=1)
    assert run.outcome == "completed"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sample_prompt": ""}, "sample_prompt='' gives the model nothing to continue"),
        ({"sample_losses": [3, -1]}, "no loss falls under -1"),
        ({"n_embd": 10**6}, "need at least"),
        ({"batch_size": 10**9}, "need at least"),
        ({"grad_accum_steps": 10**9, "batch_size": 1000}, "need at least"),
        ({"vocab_size": 10**9}, "need at least"),
        ({"block_size": 10**6}, "block_size=1000000 needs at least 1,000,001"),
    ],
    ids=str,
)
def test_what_no_run_can_have_is_refused(tiny_corpus: Path, changes: dict[str, Any], named: str) -> None:
    """One sentence before anything asks for the memory, or fails at the first sample."""
    with pytest.raises(GptexpError, match=named):
        run_id(tiny_corpus, **changes)


def test_a_seed_from_a_clock_trains(tmp_path: Path, tiny_corpus: Path) -> None:
    """Seeds as large as time.time_ns() gives them train, sample and drop out."""
    run, records = run_tiny(tmp_path, tiny_corpus, max_steps=2, seed=1_764_000_000_000_000_000, dropout=0.1)
    assert run.outcome == "completed"
    assert [record["trigger"] for record in records if record["kind"] == "sample"] == ["initial", "final"]


def test_no_interval_is_one_sample_at_the_end(tmp_path: Path, tiny_corpus: Path) -> None:
    """sample_interval=None samples once, at the end of the training, and never without one."""
    _, records = run_tiny(tmp_path, tiny_corpus, max_steps=2, sample_interval=None)
    assert [(record["trigger"], record["step"]) for record in records if record["kind"] == "sample"] == [("final", 2)]
    _, records = run_tiny(tmp_path, tiny_corpus, max_steps=0, sample_interval=None)
    assert [record for record in records if record["kind"] == "sample"] == []
