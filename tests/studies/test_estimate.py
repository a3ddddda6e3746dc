"""Time estimates: from a measurement of this machine, kept, and affordable also for a model it can't train."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gptexp.cli.plan_notes import note_busy
from gptexp.config import RunConfig, build_config
from gptexp.data.batches import Tokens
from gptexp.machine import read_waiting_s
from gptexp.studies import estimate
from gptexp.studies.estimate import (
    StepTimer,
    Timing,
    count_evaluations,
    count_samples,
    estimate_time,
    measure_timing,
    shrink_step,
)
from gptexp.studies.resolve import read_tokens, resolve_run
from gptexp.studies.scales import SCALES
from tests.studies.tiny import TINY, run_tiny

MADE_UP = Timing(build_s=2.0, passes_s=9.0, update_s=1.0, eval_token_s=0.1, sample_token_s=1.0, late_sample_token_s=5.0)


def settle(corpus: Path, **changes: Any) -> tuple[RunConfig, Tokens]:
    return resolve_run(build_config({**TINY, **changes}), str(corpus)).config, read_tokens(str(corpus), "char")


def test_an_estimate_grows_with_the_work(tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the steps take twice the time, the rest of a run less than all of it; measured once per machine."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(estimate, "read_waiting_s", lambda: 0.0)
    config, tokens = settle(tiny_corpus, max_steps=1000)
    whole = estimate_time(config, tokens)
    assert 0 < estimate_time(config, tokens, from_step=500).total < whole.total
    assert estimate_time(config.override({"max_steps": 2000}), tokens).steps == pytest.approx(2 * whole.steps)
    kept = measure_timing(config, tokens)
    assert min(seconds for name, seconds in kept.__dict__.items() if name != "waited") > 0
    monkeypatch.setattr(estimate, "time_steps", None)
    assert measure_timing(config.override({"lr": 1e-3}), tokens) == kept


def test_a_run_without_steps_waits_for_none(tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plan times no step. A plan with steps measures anew; one without takes what that one knows."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(estimate, "read_waiting_s", lambda: 0.0)
    monkeypatch.setattr(estimate, "_timings", {})
    counts: list[int] = []
    monkeypatch.setattr(estimate, "train", lambda training, watch: counts.append(len(list(take_steps(watch)))))
    config, tokens = settle(tiny_corpus)
    untrained = config.override({"max_steps": 0})
    found = estimate_time(untrained, tokens)
    assert (counts, found.steps) == ([0], 0.0)
    assert found.evaluations > 0
    assert estimate_time(config, tokens, from_step=config.max_steps).steps == 0
    assert counts == [0]
    assert estimate_time(config, tokens).steps > 0
    assert counts == [0, estimate.TIMED_STEPS + 2]
    whole = measure_timing(config, tokens)
    for known in ({}, dict(estimate._timings)):
        monkeypatch.setattr(estimate, "_timings", known)
        assert measure_timing(untrained, tokens, with_steps=False) == whole
    assert counts == [0, estimate.TIMED_STEPS + 2]


@pytest.mark.parametrize("phases", [{"warmup_steps": 20}, {"schedule": "wsd", "decay_steps": 9}], ids=str)
def test_a_run_of_one_step_can_be_timed(tiny_corpus: Path, phases: dict[str, Any]) -> None:
    """More steps are timed than it has, and its phases need not fit these."""
    config, tokens = settle(tiny_corpus, max_steps=1, **phases)
    assert estimate.time_steps(config, tokens).step_s > 0


def take_steps(watch: StepTimer) -> Iterator[int]:
    for step in watch.steps():
        watch.before_update(step)
        watch.after_step()
        yield step


def test_every_part_is_counted(tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start-up, steps, evaluations, samples (within the context and past it) and the final evaluation, by hand."""
    monkeypatch.setattr(estimate, "measure_timing", lambda config, tokens, with_steps: MADE_UP)
    config, tokens = settle(tiny_corpus, eval_steps=1, final_eval="whole", sample_tokens=20)
    found = estimate_time(config, tokens)
    assert found.start_up == estimate.PROCESS_START_S + 2.0
    assert found.steps == 12 * 10.0
    windows = 16
    assert found.evaluations == pytest.approx((1 + 3) * windows * 16 * 0.1)
    assert found.samples == 4 * (16 * 1.0 + 4 * 5.0)
    assert found.final_evaluation == pytest.approx((len(tokens.val) - 1) * 0.1)
    parts = (found.start_up, found.steps, found.evaluations, found.samples, found.final_evaluation)
    assert found.total == pytest.approx(sum(parts))
    assert estimate_time(config.override({"final_eval": "subset"}), tokens).final_evaluation == 0
    assert estimate_time(config.override({"compile": True}), tokens).start_up > found.start_up


def test_only_the_passes_grow_with_the_batch(tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a step that is too large to be timed, a smaller one is: its passes are scaled up, its update is not."""
    monkeypatch.setattr(StepTimer, "medians", lambda self: (3.0, 1.0))
    monkeypatch.setattr(estimate, "shrink_step", lambda config: (config.override({"batch_size": 1}), 4.0))
    config, tokens = settle(tiny_corpus, batch_size=4)
    timing = estimate.time_steps(config, tokens)
    assert (timing.passes_s, timing.update_s, timing.step_s) == (12.0, 1.0, 13.0)


def test_the_steps_that_allocate_memory_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes and update of each step apart; the first two steps count only where there is no third."""
    ticks = iter([0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.125, 2.25])
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(ticks))
    timer = StepTimer(3)
    found = []
    for step in timer.steps():
        timer.before_update(step)
        timer.after_step()
        found.append(timer.medians())
    assert found == [(0.5, 0.25), (0.25, 0.25), (0.125, 0.125)]
    assert timer.total == 0.75 + 0.5 + 0.25


def test_a_busy_machine_is_noticed_and_not_remembered(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that waited for a core make a note in the plan, and the next plan measures again; others are kept."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(estimate, "_timings", {})
    config, tokens = settle(tiny_corpus)
    waits = iter([1.0, 1000.0, 7.0, 7.0])
    monkeypatch.setattr(estimate, "read_waiting_s", lambda: next(waits))
    assert measure_timing(config, tokens).waited == 1.0
    assert "waited for a core 100% of the time" in note_busy()
    assert not (tmp_path / "timings.json").exists()
    estimate._timings.clear()
    assert measure_timing(config, tokens).waited == 0.0
    assert note_busy() == ""
    estimate._timings.clear()
    assert measure_timing(config, tokens).waited == 0.0, "from the cache: nothing is left to be measured"


def test_time_without_a_core_is_counted() -> None:
    """Where the system counts it, it grows while two threads share a core."""
    before = read_waiting_s()
    if before is None:
        pytest.skip("this system doesn't count it")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        thread = threading.Thread(target=lambda: hashlib.sha256(bytes(120_000_000)))
        thread.start()
        hashlib.sha256(bytes(240_000_000))
        waited = (read_waiting_s() or 0.0) - before
        thread.join()
    finally:
        os.sched_setaffinity(0, cores)
    assert waited > 0.005


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_steps": 0},
        {"max_steps": 1},
        {"max_steps": 10},
        {"max_steps": 13, "eval_interval": 5},
        {"eval_interval": 50, "sample_interval": None},
        {"sample_interval": 12},
        {"sample_interval": None, "sample_losses": [9.0]},
        {"sample_interval": 4, "sample_losses": [9.0, 8.0]},
    ],
)
def test_what_is_counted_is_what_a_run_does(tiny_corpus: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """As many evaluations on the subset as the run has, and as many samples; of several losses one may pass at once."""
    result, records = run_tiny(tmp_path, tiny_corpus, **changes)
    assert result.outcome == "completed"
    config, _ = settle(tiny_corpus, **changes)
    kinds = [record["kind"] for record in records]
    assert count_evaluations(config, 0) == kinds.count("eval")
    # Both losses lie above the first step's: the sample under the lower one stands for both.
    passed_at_once = max(0, len(config.sample_losses) - 1)
    assert count_samples(config, 0) == kinds.count("sample") + passed_at_once


def test_the_rest_of_a_run_has_the_rest_of_the_work(tiny_corpus: Path) -> None:
    """What lies at or before the step to go on from is done."""
    config, _ = settle(tiny_corpus, max_steps=20, eval_interval=4, sample_interval=5)
    assert [count_evaluations(config, step) for step in (0, 3, 4, 18, 20)] == [6, 5, 4, 1, 0]
    assert [count_samples(config, step) for step in (0, 4, 5, 15, 20)] == [5, 4, 3, 1, 1]


@pytest.mark.parametrize("changes", [{}, {"max_steps": 13, "eval_interval": 5}, {"sample_interval": None}])
def test_a_run_in_parts_has_the_same_work(tiny_corpus: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Up to a step as much as the records have up to there, and then the rest; the whole split comes with the end."""
    _, records = run_tiny(tmp_path, tiny_corpus, **changes)
    config, tokens = settle(tiny_corpus, **changes, threads=1)
    for step in range(1, config.max_steps):
        kinds = [record["kind"] for record in records if record["step"] <= step]
        assert count_evaluations(config, 0, step) == kinds.count("eval")
        assert count_samples(config, 0, step) == kinds.count("sample")
        assert count_evaluations(config, 0, step) + count_evaluations(config, step) == count_evaluations(config, 0)
        assert count_samples(config, 0, step) + count_samples(config, step) == count_samples(config, 0)
    whole = config.override({"final_eval": "whole"})
    assert estimate_time(whole, tokens, until_step=5).final_evaluation == 0
    assert estimate_time(whole, tokens, until_step=99) == estimate_time(whole, tokens)
    assert estimate_time(whole, tokens, from_step=7, until_step=5).steps == 0


def test_a_large_model_is_timed_on_a_small_step() -> None:
    """The 124M model's step is timed on a fraction of its batch; the quick scale's is timed as it is."""
    lesson = build_config({**SCALES["lesson"].settings, "vocab_size": 50257, "device": "cpu"})
    timed, times_larger = shrink_step(lesson)
    assert timed.batch_size == 1
    assert times_larger == 16
    quick = build_config({**SCALES["quick"].settings, "vocab_size": 50257, "device": "cpu"})
    assert shrink_step(quick) == (quick, 1.0)
