"""gptexp bench: the comparison is between loops that compute the same, and its numbers add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gptexp.bench.measure import choose_precisions
from gptexp.bench.overheads import count_checkpoints
from gptexp.cli.bench_table import print_bench
from gptexp.config import RunConfig, build_config
from gptexp.studies.estimate import count_evaluations, count_samples
from gptexp.studies.scales import SCALES
from gptexp.training.precision import ProductTimes
from gptexp.training.products import StepProducts
from tests.bench.sides import make_contestant
from tests.cli.conftest import Call
from tests.cli.conftest import call as call
from tests.studies.tiny import TINY, needs_compiler
from tests.tolerance import LOSS_DRIFT

SETTINGS = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture
def bench(call: Call, tiny_corpus: Path) -> Any:
    """What `gptexp bench --json` says of the tiny config, two rounds of two steps."""
    words = ("--precision", "fp32", "--steps", "2", "--rounds", "2", "--corpus", str(tiny_corpus))
    return call("bench", "--scale", "char", *SETTINGS, *words, "--json").json()


@pytest.mark.slow
def test_the_numbers_of_a_bench_add_up(bench: Any) -> None:
    """Rates follow from times, shares from seconds; both loops have the same losses, and memory is counted."""
    (result,) = bench["results"]
    for side in (bench["reference"], result):
        middle = side["step_s"]["median"]
        assert side["step_s"]["low"] <= middle <= side["step_s"]["high"]
        assert side["tokens_per_s"]["low"] <= bench["tokens_per_step"] / middle <= side["tokens_per_s"]["high"]
        assert side["peak_memory_mib"] > 50
    assert result["largest_loss_difference"] < LOSS_DRIFT
    assert result["floor_s"]["low"] > 0
    assert result["speedup"]["low"] <= result["speedup"]["median"] <= result["speedup"]["high"]
    parts = {row["part"]: row for row in bench["overheads"]}
    once = {"start-up", "start of W&B's client"}
    assert set(parts) == {
        *once,
        "model and optimizer",
        "evaluation, subset",
        "samples",
        "records",
        "checkpoints",
        "W&B offline",
    }
    assert {name for name, row in parts.items() if row["once_per_worker"]} == once
    assert parts["records"]["times"] == TINY["max_steps"]
    steps_s = TINY["max_steps"] * result["step_s"]["median"]
    assert bench["run_s"] == pytest.approx(steps_s + sum(row["seconds"] for row in parts.values()))
    assert sum(row["share"] for row in parts.values()) == pytest.approx(1 - steps_s / bench["run_s"])


@pytest.mark.slow
@needs_compiler
def test_compiled_loops_compute_the_same(call: Call, tiny_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both loops compiled: losses within rounding of the plain loop's, the steps after which compiling has paid, and
    tables that fit. (One bench serves for all: compiling takes most of a minute.)
    """
    words = ("--precision", "fp32", "--steps", "2", "--rounds", "1", "--corpus", str(tiny_corpus), "--compile")
    found = call("bench", "--scale", "char", *SETTINGS, *words, "--no-overheads", "--json").json()
    eager, compiled = found["results"]
    assert [found["reference_compiled"]["loop"], eager["loop"], compiled["loop"]] == [
        "plain fp32 compiled",
        "gptexp fp32",
        "gptexp fp32 compiled",
    ]
    for loop, before in ((found["reference_compiled"], found["reference"]), (compiled, eager)):
        assert loop["largest_loss_difference"] < LOSS_DRIFT
        assert loop["compile_s"] > 0.1
        saved_s = before["step_s"]["median"] - loop["step_s"]["median"]
        steps = loop["pays_after_steps"]
        assert (steps is None) is (saved_s <= 0)
        if steps is not None:
            assert (steps - 1) * saved_s < loop["compile_s"] <= steps * saved_s * (1 + 1e-9)
    print_bench(found)
    check_tables(capsys.readouterr().out)


@pytest.mark.slow
def test_the_tables_fit_80_columns(call: Call, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off or wrapped within a cell where a terminal is 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    words = ("--steps", "1", "--rounds", "1", "--no-overheads", "--corpus", str(tiny_corpus))
    reply = call("bench", "--scale", "char", *SETTINGS, *words)
    assert reply.status == 0, reply.err
    check_tables(reply.out)


def check_tables(out: str) -> None:
    """The tables of a bench, as they stand in a pipe or in a narrow terminal."""
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    assert "plain fp32" in out
    assert "gptexp fp32" in out


def test_several_micro_batches_are_refused(call: Call, tiny_corpus: Path) -> None:
    """The reference loop knows one batch per step: a comparison with several would be of unlike things."""
    reply = call("bench", "--scale", "char", "--set", "grad_accum_steps=2", "--corpus", str(tiny_corpus))
    assert reply.status == 2
    assert "grad_accum_steps=2" in reply.sentences()[0]


def test_both_loops_compute_the_same(tiny_corpus: Path) -> None:
    """Twenty steps of the lesson's loop and of gptexp's have the same losses, nothing else being the same work."""
    sides = [make_contestant(name, str(tiny_corpus)) for name in ("reference", "fp32")]
    (_, plain), (_, ours) = (side.take_steps(20) for side in sides)
    assert plain[0] > plain[-1]
    assert max(abs(a - b) for a, b in zip(plain, ours, strict=True)) < LOSS_DRIFT


def test_steps_go_on_where_the_last_turn_ended(tiny_corpus: Path) -> None:
    """Turns of 2 and 3 steps are the same five steps as one turn of 5, for both loops."""
    for name in ("reference", "fp32"):
        whole, parted = (make_contestant(name, str(tiny_corpus)) for _ in range(2))
        seconds, losses = whole.take_steps(5)
        assert len(seconds) == 5
        assert all(second > 0 for second in seconds)
        assert losses == parted.take_steps(2)[1] + parted.take_steps(3)[1]


def test_the_floor_holds_every_product_of_a_step() -> None:
    """Its operations are 6 per weight and token, besides attention: those of a forward and a backward pass."""
    config = build_config({**SCALES["quick"].settings, "vocab_size": 1000, "device": "cpu", "precision": "fp32"})
    products = StepProducts(config)
    with torch.profiler.profile(with_flops=True) as profile:
        products.time_once()
    counted = sum(event.flops for event in profile.key_averages())
    tokens, width = config.tokens_per_step, config.n_embd
    weights = config.n_layer * 12 * width**2 + 1000 * width
    attention = 6 * config.n_layer * tokens * config.block_size * width
    assert counted == pytest.approx(6 * tokens * weights + attention, rel=1e-6)


def test_bf16_is_left_out_with_a_reason_where_it_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`all` times bf16 exactly where auto takes it; asked for by name, it is always timed."""
    config = RunConfig(device="cpu")
    for fp32_ms, expected in ((9.0, ("fp32", "bf16")), (4.0, ("fp32",))):
        for module in ("bench.measure", "training.device"):
            measured = ProductTimes(fp32_ms, 4.0)
            monkeypatch.setattr(f"gptexp.{module}.measure_products", lambda config, measured=measured: measured)
        precisions, left_out = choose_precisions("all", config)
        assert precisions == expected
        reason = "auto is fp32: its products take 4.0 ms in bf16 and 4.0 ms in fp32 on this cpu"
        assert left_out == ({"bf16": reason} if expected == ("fp32",) else {})
        assert choose_precisions("bf16", config) == (("bf16",), {})


def test_what_happens_around_the_steps_is_counted_as_a_run_does_it() -> None:
    """Evaluations, samples and checkpoints of the tiny run, by hand."""
    config = build_config(TINY)
    assert count_evaluations(config) == 4  # 0, 4, 8, 12
    assert count_samples(config) == 4  # 0, 5, 10, the end
    assert count_checkpoints(config) == 7  # 3, 4, 6, 8, 9, 12, and the last weights
