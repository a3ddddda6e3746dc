"""How long a run takes on this machine, from a few timed steps."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import torch

from gptexp import ENGINE_VERSION
from gptexp.config import ModelConfig, RunConfig, short_hash
from gptexp.data.batches import Tokens, val_windows
from gptexp.data.corpus import cache_dir
from gptexp.files import DiskError, read_bytes, write_atomic
from gptexp.machine import describe_cpu
from gptexp.model.size import count_params
from gptexp.studies.execute import build_training
from gptexp.training.device import Hardware, describe_gpu, prepare_cpu
from gptexp.training.divergence import Diverged
from gptexp.training.evaluate import evaluate
from gptexp.training.loop import train

SAMPLE_TOKEN_STEPS = 0.02
"""Cost of one sampled token in training steps, at the sizes of the scales: a rough guess, small in the sum."""


LONGEST_TIMING_S = 5.0
"""After this many seconds of timed steps no further one is started."""


PROCESS_MIB = 400
"""Resident memory of a worker before its first tensor: Python, PyTorch, the corpus. Measured on Linux."""

LARGEST_TIMED_STEP = 2e11
"""Floating-point operations of the largest step that is timed on a CPU: a second or two."""


@dataclass(frozen=True)
class StepTiming:
    """Seconds on this machine, with the run's own number of threads."""

    step_s: float
    eval_batch_s: float


def estimate_seconds(config: RunConfig, tokens: Tokens, *, from_step: int = 0) -> float:
    """Seconds that the rest of a run takes: its steps, its evaluations and its samples, start-up left out."""
    timing = measure_timing(config, tokens)
    remaining = config.max_steps - from_step
    subset = min(config.eval_steps, max(1, (len(tokens.val) - 1) // (config.block_size * config.batch_size)))
    evals = remaining // config.eval_interval + 1
    whole = (len(tokens.val) - 1) / (config.block_size * config.batch_size) if config.final_eval == "whole" else 0
    samples = remaining // config.sample_interval + 1 if config.sample_interval else 1
    return (
        remaining * timing.step_s
        + (evals * subset + whole) * timing.eval_batch_s
        + samples * config.sample_tokens * SAMPLE_TOKEN_STEPS * timing.step_s
    )


def estimate_memory_mib(config: RunConfig, n_params: int) -> float:
    """MiB of a run's process: weights, gradients, moments and activations, and PyTorch itself."""
    activations = config.batch_size * config.block_size * config.n_embd * config.n_layer * 20
    logits = min(2**24, config.batch_size * config.block_size * (config.vocab_size or 0))
    return PROCESS_MIB + 4 * (4 * n_params + activations + logits) / 2**20


def measure_timing(config: RunConfig, tokens: Tokens) -> StepTiming:
    """Time a few steps of this shape, or take what an earlier measurement on this machine found."""
    shape = {name: getattr(config, name) for name in ModelConfig.model_fields if name != "init"}
    machine = [describe_cpu(), describe_gpu(), torch.__version__, ENGINE_VERSION]
    others = ("batch_size", "grad_accum_steps", "precision", "device", "threads")
    key = short_hash([shape, [getattr(config, name) for name in others], machine])
    path = cache_dir() / "timings.json"
    known: dict[str, list[float]] = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(read_bytes(path))
    if key not in known:
        timing = time_steps(config, tokens)
        known[key] = [timing.step_s, timing.eval_batch_s]
        # Without a cache the next plan measures again: no reason to fail.
        with contextlib.suppress(DiskError):
            write_atomic(path, json.dumps(known))
    return StepTiming(*known[key])


class _StopWatch:
    """An observer that only takes the time of each step."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._started = 0.0
        self.seconds: list[float] = []

    def steps(self) -> Iterator[int]:
        for step in range(1, self._steps + 1):
            if len(self.seconds) >= 2 and sum(self.seconds) > LONGEST_TIMING_S:
                return
            self._started = time.perf_counter()
            yield step

    def after_step(self, *_: float) -> None:
        self.seconds.append(time.perf_counter() - self._started)

    def diverged(self, *_: object) -> None: ...


def time_steps(config: RunConfig, tokens: Tokens, *, steps: int = 6) -> StepTiming:
    """Median seconds of a training step and of an evaluation batch, after two steps that first touch their memory."""
    hardware = Hardware(config.device, config.precision)
    prepare_cpu(config.threads)
    timed, times_larger = shrink_step(config)
    training = build_training(timed.override({"max_steps": max(config.max_steps, steps + 2)}), hardware, tokens)
    watch = _StopWatch(steps + 2)
    with contextlib.suppress(Diverged):
        train(training, watch)
    windows = list(val_windows(tokens.val, block_size=config.block_size, batch_size=timed.batch_size, limit=1))
    eval_seconds = []
    for _ in range(1 if sum(watch.seconds) > LONGEST_TIMING_S else 3):
        started = time.perf_counter()
        evaluate(training.model, windows, tokens.tokenizer.token_bytes, hardware)
        eval_seconds.append(time.perf_counter() - started)
    # A large model gets no more than two steps, of which the second counts.
    counted = watch.seconds[2:] or watch.seconds[-1:]
    return StepTiming(median(counted) * times_larger, min(eval_seconds) * config.batch_size / timed.batch_size)


def shrink_step(config: RunConfig) -> tuple[RunConfig, float]:
    """A config with a smaller step to time, and how many times larger the real one is.

    A step costs about 6 floating-point operations per parameter and token, most of them proportional to the tokens.

    Source: Kaplan et al., arXiv 2001.08361, section 2.1.
    """
    if config.device != "cpu":
        return config, 1.0
    per_window = 6.0 * count_params(config) * config.block_size
    batch_size = max(1, min(config.batch_size, int(LARGEST_TIMED_STEP / per_window)))
    if batch_size == config.batch_size and config.grad_accum_steps == 1:
        return config, 1.0
    times_larger = config.batch_size * config.grad_accum_steps / batch_size
    return config.override({"batch_size": batch_size, "grad_accum_steps": 1}), times_larger
