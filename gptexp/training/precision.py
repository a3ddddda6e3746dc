"""Chooses precision=auto on a CPU by a measurement, because CPU feature names don't tell how fast bf16 is.

The matrix products of a step are timed in fp32 and bf16 at the config's widths, in well under a second. The times are
kept in the cache folder, one measurement per processor, torch version and shape, so that the choice, and with it the
run id, stays the same.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gptexp.files import DiskError, read_bytes, write_atomic
from gptexp.machine import describe_cpu
from gptexp.plain import parse_json
from gptexp.training.products import StepProducts

if TYPE_CHECKING:
    from gptexp.config import RunConfig

GAIN = 1.25
"""bf16 is chosen if its matrix products are at least this many times as fast. The margin covers the rest of a step,
which gains nothing from bf16, and the casts that bf16 adds."""
MOST_TOKENS = 128
MOST_COLUMNS = 2048
"""Columns of the output layer, out of the vocabulary."""
WIDEST = 1024
"""Limits of the timed products: larger ones have the same ratio of times and only take longer."""
ROUNDS = 7
PATIENCE_S = 0.5
"""Seconds after which no new round begins, except that there are at least two rounds."""
HOPELESS = 2.5
"""If the small pilot products take this many times as long in bf16, the larger ones aren't timed, which could take many
seconds: the machine has no bf16 units, or the model is so small that casts dominate.
"""
PILOT = {"batch_size": 1, "block_size": 16, "vocab_size": 64}
"""Settings of the small products that are timed first."""
SETTINGS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")
"""Environment variables that change which CPU instructions matrix products use."""


@dataclass(frozen=True)
class ProductTimes:
    """Fastest of several rounds, in milliseconds, for the products of one layer and part of the output layer."""

    fp32_ms: float
    bf16_ms: float
    of_pilot: bool = False
    """Whether only the pilot products were timed, because bf16 was far slower there."""

    @property
    def gain(self) -> float:
        """How many times as fast the products are in bf16."""
        return self.fp32_ms / self.bf16_ms

    @property
    def precision(self) -> str:
        return "bf16" if self.gain >= GAIN else "fp32"

    def __str__(self) -> str:
        which = "small products already" if self.of_pilot else "its products"
        return f"{which} take {self.bf16_ms:.1f} ms in bf16 and {self.fp32_ms:.1f} ms in fp32"


def measure_products(config: RunConfig) -> ProductTimes:
    """Times of a step's matrix products on this CPU; read from the cache if they were measured before.

    Args:
        config: its widths, windows and number of threads are used. vocab_size None counts as GPT-2's.
    """
    batch_size = max(1, min(config.batch_size, MOST_TOKENS // config.block_size))
    head_size = min(config.n_embd // config.n_head, WIDEST)
    n_head = min(config.n_head, WIDEST // head_size)
    shape = {
        "n_layer": 1,
        "n_embd": n_head * head_size,
        "n_head": n_head,
        "vocab_size": min(config.vocab_size or MOST_COLUMNS, MOST_COLUMNS),
        "batch_size": batch_size,
        "block_size": min(config.block_size, MOST_TOKENS),
        "threads": config.n_threads,
    }
    return _measure_once(json.dumps(shape, sort_keys=True))


@functools.cache
def _measure_once(shape: str) -> ProductTimes:
    path = _cache_file(shape)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        known = parse_json(read_bytes(path))
        times = ProductTimes(float(known["fp32_ms"]), float(known["bf16_ms"]), bool(known.get("of_pilot", False)))
        if times.fp32_ms > 0 and times.bf16_ms > 0:
            return times
    times = time_products(json.loads(shape))
    # If the cache can't be written, the next process measures again.
    with contextlib.suppress(DiskError):
        write_atomic(path, json.dumps({**machine_key(), "shape": json.loads(shape), **asdict(times)}, indent=1) + "\n")
    return times


def time_products(shape: dict[str, int]) -> ProductTimes:
    """Time the products of a shape now. The precisions take turns, so that both run under the same conditions."""
    from gptexp.config import build_config

    threads = torch.get_num_threads()
    torch.set_num_threads(shape["threads"])
    try:
        pilot = _time_in_turns(build_config({**shape, **PILOT, "device": "cpu"}))
        if pilot.bf16_ms > HOPELESS * pilot.fp32_ms:
            return replace(pilot, of_pilot=True)
        return _time_in_turns(build_config({**shape, "device": "cpu"}))
    finally:
        torch.set_num_threads(threads)


def _time_in_turns(config: RunConfig) -> ProductTimes:
    both = {name: StepProducts(config.override({"precision": name})) for name in ("fp32", "bf16")}
    for products in both.values():
        products.time_once()
    times: dict[str, list[float]] = {name: [] for name in both}
    started = time.perf_counter()
    for place in range(ROUNDS):
        if place >= 2 and time.perf_counter() - started > PATIENCE_S:
            break
        for name, products in both.items():
            times[name].append(products.time_once())
    fp32_ms, bf16_ms = (1000 * min(times[name]) for name in ("fp32", "bf16"))
    return ProductTimes(fp32_ms, bf16_ms)


def machine_key() -> dict[str, str]:
    """Everything that determines how fast this process computes on the CPU: the key of the cached times."""
    settings = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    return {
        "processor": describe_cpu(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        **settings,
    }


def _cache_file(shape: str) -> Path:
    from gptexp.data.corpus import cache_dir

    key = json.dumps([machine_key(), shape], sort_keys=True)
    return cache_dir() / "precision" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
