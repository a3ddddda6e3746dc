"""Time estimates: from a measurement of this machine, kept, and affordable also for a model it can't train."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptexp.config import build_config
from gptexp.studies import estimate
from gptexp.studies.estimate import estimate_seconds, measure_timing, shrink_step
from gptexp.studies.resolve import read_tokens, resolve_run
from gptexp.studies.scales import SCALES
from tests.studies.tiny import TINY


def test_an_estimate_grows_with_the_work(tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the steps take about twice the time, the rest of a run less than all of it; measured once per machine."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path))
    config = resolve_run(build_config({**TINY, "max_steps": 1000}), str(tiny_corpus)).config
    tokens = read_tokens(str(tiny_corpus), "char")
    whole = estimate_seconds(config, tokens)
    assert 0 < estimate_seconds(config, tokens, from_step=500) < whole
    assert estimate_seconds(config.override({"max_steps": 2000}), tokens) == pytest.approx(2 * whole, rel=0.1)
    kept = measure_timing(config, tokens)
    monkeypatch.setattr(estimate, "time_steps", None)
    assert measure_timing(config.override({"lr": 1e-3}), tokens) == kept


def test_a_large_model_is_timed_on_a_small_step() -> None:
    """The 124M model's step is timed on a fraction of its batch; the quick scale's is timed as it is."""
    lesson = build_config({**SCALES["lesson"].settings, "vocab_size": 50257, "device": "cpu"})
    timed, times_larger = shrink_step(lesson)
    assert timed.batch_size == 1
    assert times_larger == 16
    quick = build_config({**SCALES["quick"].settings, "vocab_size": 50257, "device": "cpu"})
    assert shrink_step(quick) == (quick, 1.0)
