"""Threads: as many as a step gains from, never more than there are, the same for the same command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gptexp import machine
from gptexp.cli.plan_notes import note_threads
from gptexp.config import RunConfig, build_config
from gptexp.studies import resolve
from gptexp.studies.resolve import resolve_run
from gptexp.studies.scales import SCALES
from gptexp.training.device import choose_threads


def scale(name: str, **changes: Any) -> RunConfig:
    return build_config({**SCALES[name].settings, "vocab_size": 65 if name == "char" else 50_257, **changes})


@pytest.mark.parametrize(("name", "expected"), [("quick", 1), ("char", 1), ("laptop", 8), ("lesson", 8)])
def test_larger_steps_take_more_threads(name: str, expected: int) -> None:
    """On eight cores small models take one, so that eight of them run side by side; 124M takes all eight."""
    assert choose_threads(scale(name, device="cpu"), 8) == expected
    assert choose_threads(scale(name, device="cpu"), 1) == 1
    assert choose_threads(scale(name, device="cuda"), 8) == 1


def test_what_was_resolved_is_in_the_record(tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs at once share the cores; a named number is kept; either way the config holds a number."""
    monkeypatch.setattr(resolve, "count_cores", lambda: 6)
    monkeypatch.setattr(resolve, "choose_threads", lambda config, cores: cores)
    tiny = RunConfig(n_layer=1, n_embd=16, n_head=2, block_size=16, tokenizer="char", device="cpu", precision="fp32")
    found = [resolve_run(tiny, str(tiny_corpus), jobs).config.threads for jobs in (None, 1, 2, 4, 12)]
    assert found == [6, 6, 3, 1, 1]
    named = tiny.override({"threads": 5})
    assert resolve_run(named, str(tiny_corpus), 2).config.threads == 5
    assert len({resolve_run(tiny.override({"threads": n}), str(tiny_corpus)).run_id for n in (1, 2)}) == 2


@pytest.mark.parametrize(
    ("text", "expected"), [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("", 8)]
)
def test_a_container_has_the_cores_of_its_quota(monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    """cpu.max counts beside the affinity, not the cores of the host."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert machine.count_cores() == expected


def test_a_plan_says_where_threads_wait_for_each_other() -> None:
    """Two runs of two threads on two cores: the plan names what is faster; where they fit it is silent."""
    two = [scale("lesson", threads=2, device="cpu")] * 4
    assert "--set threads=1" in note_threads(two, 2, 2)
    assert note_threads(two, 1, 2) == ""
    assert note_threads(two, 2, 4) == ""
    assert note_threads([scale("lesson", threads=2, device="cuda")] * 4, 2, 2) == ""
