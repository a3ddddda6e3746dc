"""`auto` is what was measured, once for a machine and a shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gptexp.config import RunConfig, build_config
from gptexp.training import precision
from gptexp.training.device import resolve_hardware
from gptexp.training.precision import GAIN, ProductTimes, measure_products, time_products

CONFIG = build_config({"n_layer": 3, "n_embd": 32, "n_head": 2, "vocab_size": 300, "block_size": 16, "device": "cpu"})


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, int]]:
    """The shapes that were timed, in an empty cache; every one is found twice as fast in bf16."""
    shapes: list[dict[str, int]] = []

    def time_it(shape: dict[str, int]) -> ProductTimes:
        shapes.append(shape)
        return ProductTimes(8.0, 4.0)

    monkeypatch.setattr(precision, "time_products", time_it)
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    precision._measure_once.cache_clear()
    return shapes


def forget() -> None:
    """As if another process asked."""
    precision._measure_once.cache_clear()


@pytest.mark.parametrize(("gain", "expected"), [(GAIN, "bf16"), (GAIN - 0.01, "fp32"), (0.1, "fp32")])
def test_the_gain_decides(monkeypatch: pytest.MonkeyPatch, gain: float, expected: str) -> None:
    """bf16 from 1.25 times as fast on; a named precision is taken without measuring."""
    asked: list[RunConfig] = []

    def measure(config: RunConfig) -> ProductTimes:
        asked.append(config)
        return ProductTimes(gain, 1.0)

    monkeypatch.setattr("gptexp.training.device.measure_products", measure)
    assert resolve_hardware(CONFIG).precision == expected
    assert asked == [CONFIG]
    assert resolve_hardware(CONFIG.override({"precision": "bf16"})).precision == "bf16"
    assert resolve_hardware(CONFIG.override({"precision": "fp32"})).precision == "fp32"
    assert asked == [CONFIG]


def test_a_shape_is_timed_once(timed: list[dict[str, int]]) -> None:
    """Another process finds it in the cache; more layers and longer trainings are the same shape, more width is not."""
    assert measure_products(CONFIG) == ProductTimes(8.0, 4.0)
    forget()
    assert measure_products(CONFIG.override({"n_layer": 5, "max_steps": 7, "lr": 1e-2})) == ProductTimes(8.0, 4.0)
    assert len(timed) == 1
    measure_products(CONFIG.override({"n_embd": 64}))
    assert [shape["n_embd"] for shape in timed] == [32, 64]


def test_other_instructions_are_another_machine(timed: list[dict[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured with all instructions says nothing of a process that may not use them."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    measure_products(CONFIG)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    forget()
    measure_products(CONFIG)
    assert len(timed) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fp32_ms": "x", "bf16_ms": 1}', '{"fp32_ms": 0, "bf16_ms": 0}'])
def test_a_damaged_cache_is_measured_again(timed: list[dict[str, int]], tmp_path: Path, text: str) -> None:
    """And written anew."""
    measure_products(CONFIG)
    (file,) = (tmp_path / "cache" / "precision").iterdir()
    file.write_text(text)
    forget()
    assert measure_products(CONFIG) == ProductTimes(8.0, 4.0)
    assert len(timed) == 2
    assert json.loads(file.read_text())["bf16_ms"] == 4.0


def test_a_cache_that_cannot_be_written_is_no_error(
    timed: list[dict[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is measured again by the next process."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "file"))
    for _ in range(2):
        forget()
        assert measure_products(CONFIG) == ProductTimes(8.0, 4.0)
    assert len(timed) == 2


def test_products_are_really_timed() -> None:
    """Both take some time, and the number of threads is what it was."""
    import torch

    threads = torch.get_num_threads()
    times = time_products({"n_layer": 1, "n_embd": 32, "n_head": 2, "vocab_size": 64, "block_size": 16, "threads": 2})
    assert times.fp32_ms > 0
    assert times.bf16_ms > 0
    assert torch.get_num_threads() == threads


def test_a_hopeless_precision_is_told_of_the_products_that_were_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without units for bf16 only small products are timed, and whoever shows their times can say so."""
    monkeypatch.setattr(precision, "_time_in_turns", lambda config: ProductTimes(0.1, 4.0))
    found = precision.time_products({"n_layer": 1, "n_embd": 64, "n_head": 1, "batch_size": 1, "threads": 1})
    assert found.of_pilot
    assert str(found) == "small products already take 4.0 ms in bf16 and 0.1 ms in fp32"
    monkeypatch.setattr(precision, "_time_in_turns", lambda config: ProductTimes(8.0, 4.0))
    assert not precision.time_products({"n_layer": 1, "n_embd": 64, "n_head": 1, "threads": 1}).of_pilot
