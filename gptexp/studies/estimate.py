"""Estimates how long a run takes on this machine, part by part, from a few timed steps."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from statistics import median

import torch

from gptexp.config import ModelConfig, RunConfig
from gptexp.data.batches import Tokens, val_windows
from gptexp.data.corpus import cache_dir
from gptexp.files import DiskError, read_bytes, write_atomic
from gptexp.identity import short_hash
from gptexp.machine import read_waiting_s
from gptexp.model.size import count_params
from gptexp.studies.execute import build_training
from gptexp.training.device import Hardware, describe_gpu, prepare_cpu
from gptexp.training.divergence import Diverged
from gptexp.training.evaluate import evaluate
from gptexp.training.loop import Training, train
from gptexp.training.precision import machine_key
from gptexp.training.sample import generate
from gptexp.version import ENGINE_VERSION

LONGEST_TIMING_S = 5.0
"""No further step is timed after this many seconds."""


PROCESS_MIB = 400
"""Resident memory in MiB of a worker before its first tensor: Python, PyTorch, the corpus. Measured on Linux."""

PROCESS_START_S = 3.0
"""Seconds to start Python, import PyTorch and read the corpus in a worker. Measured on Linux, two cores, warm cache."""

COMPILE_S = 30.0
"""Seconds for torch.compile of a training pass that this machine hasn't compiled before."""

LARGEST_TIMED_STEP = 2e11
"""FLOPs of the largest step that is timed on a CPU: a second or two."""

MOST_WAITED = 0.1
"""Share of a timing in which it may wait for a core, and still count as that of a machine that does nothing else."""

TIMED_STEPS = 6
"""Number of training steps that are timed, after two that allocate memory."""

TIMED_TOKENS = 4
"""Number of sampled tokens that are timed."""

TIMED_FIELDS = ("batch_size", "grad_accum_steps", "precision", "device", "threads", "optimizer")
"""What decides the time of a step besides the shape of the model."""
_timings: dict[tuple[object, ...], Timing] = {}
"""What this process has read or measured: a plan of ten thousand runs asks for the same few times."""


@dataclass(frozen=True)
class Timing:
    """Seconds on this machine, measured with the run's number of threads."""

    build_s: float
    """Building the model with its initial weights, and the optimizer."""
    passes_s: float
    """The forward and backward passes of one training step."""
    update_s: float
    """The update of the weights in one training step."""
    eval_token_s: float
    """One predicted token of an evaluation."""
    sample_token_s: float
    """One sampled token while the text fits into the context."""
    late_sample_token_s: float
    """One sampled token beyond the context, for which all positions are recomputed."""
    waited: float = 0.0
    """Share of the time of the measurement in which its threads had no core, because of other programs."""

    @property
    def step_s(self) -> float:
        """One training step."""
        return self.passes_s + self.update_s


@dataclass(frozen=True)
class RunTime:
    """Seconds of the rest of a run, by part."""

    start_up: float
    steps: float
    evaluations: float
    """Evaluations on the fixed subset."""
    samples: float
    final_evaluation: float
    """The evaluation on the whole val split."""

    @property
    def total(self) -> float:
        return float(sum(asdict(self).values()))

    def __add__(self, other: RunTime) -> RunTime:
        return RunTime(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


NO_TIME = RunTime(0.0, 0.0, 0.0, 0.0, 0.0)


def estimate_time(config: RunConfig, tokens: Tokens, *, from_step: int = 0, until_step: int | None = None) -> RunTime:
    """Estimate the seconds of the rest of a run, including its evaluations and samples.

    Args:
        from_step: the last step that is already done.
        until_step: the step at which the run is stopped; None runs to the end.
    """
    last = config.max_steps if until_step is None else min(until_step, config.max_steps)
    is_whole = last == config.max_steps
    # Each of several processes computes its share of a batch. What they wait for each other isn't counted.
    share = {"batch_size": config.batch_size // config.world_size, "world_size": 1}
    steps = max(0, last - from_step)
    timed = config.override(share) if config.world_size > 1 else config
    timing = measure_timing(timed, tokens, with_steps=steps > 0)
    whole = len(tokens.val) - 1
    subset = min(config.eval_windows, whole // config.block_size) * config.block_size
    return RunTime(
        start_up=PROCESS_START_S + timing.build_s + (COMPILE_S if config.compile else 0.0),
        steps=steps * timing.step_s,
        evaluations=count_evaluations(config, from_step, last) * subset * timing.eval_token_s,
        samples=count_samples(config, from_step, last)
        * sample_seconds(config, timing.sample_token_s, timing.late_sample_token_s),
        final_evaluation=whole * timing.eval_token_s if is_whole and config.final_eval == "whole" else 0.0,
    )


def count_evaluations(config: RunConfig, from_step: int = 0, last: int | None = None) -> int:
    """Number of remaining evaluations on the subset: before step 1, at every interval, and at the run's last step.

    Args:
        from_step: the last step that is already done.
        last: the step at which the run is stopped; None runs to the end.
    """
    last = config.max_steps if last is None else last
    due = max(0, last // config.eval_interval - from_step // config.eval_interval)
    is_uneven = from_step < last == config.max_steps and last % config.eval_interval != 0
    return (from_step == 0) + due + is_uneven


def count_samples(config: RunConfig, from_step: int = 0, last: int | None = None) -> int:
    """Largest number of remaining samples. There are fewer if the loss doesn't fall below all of `sample_losses`.

    Args:
        from_step: the last step that is already done.
        last: the step at which the run is stopped; None runs to the end.
    """
    interval, whole = config.sample_interval, config.max_steps
    last = whole if last is None else last
    first = from_step == 0 and bool(interval or config.sample_losses)
    between = max(0, min(last, whole - 1) // interval - from_step // interval) if interval else 0
    return first + between + len(config.sample_losses) * (last > from_step) + (0 < last == whole)


def sample_seconds(config: RunConfig, token_s: float, late_token_s: float) -> float:
    """Seconds of one sample.

    Args:
        token_s: seconds of a token while the text fits into the context.
        late_token_s: seconds of a token beyond the context.
    """
    early = min(config.sample_tokens, config.block_size)
    return early * token_s + (config.sample_tokens - early) * late_token_s


def estimate_memory_mib(config: RunConfig, n_params: int) -> float:
    """Memory of a run's processes in MiB: weights, gradients, moments, activations, and PyTorch itself."""
    activations = config.batch_size * config.block_size * config.n_embd * config.n_layer * 20
    logits = min(2**24, config.batch_size * config.block_size * (config.vocab_size or 0))
    each = PROCESS_MIB + 4 * 4 * n_params / 2**20
    return config.world_size * each + 4 * (activations + logits) / 2**20


def measure_timing(config: RunConfig, tokens: Tokens, *, with_steps: bool = True) -> Timing:
    """Time a few steps of this shape, or take the times of an earlier measurement on this machine.

    Args:
        with_steps: False for a run that has no step left. Then none is timed, which saves most of the time, and those
            of its `Timing` may be 0.
    """
    names = (*(name for name in ModelConfig.model_fields if name != "init"), *TIMED_FIELDS)
    shape = (cache_dir(), *(getattr(config, name) for name in names))
    found = _timings.get((*shape, True)) or _timings.get((*shape, with_steps))
    if found is None:
        found = _timings[(*shape, with_steps)] = _read_timing(config, tokens, with_steps)
    return found


def _read_timing(config: RunConfig, tokens: Tokens, with_steps: bool) -> Timing:
    """From the cache folder, or measured now."""
    shape = {name: getattr(config, name) for name in ModelConfig.model_fields if name != "init"}
    machine = [machine_key(), describe_gpu(), ENGINE_VERSION]
    names = [one.name for one in fields(Timing)]
    measured = [shape, [getattr(config, name) for name in TIMED_FIELDS], machine, names]
    path = cache_dir() / "timings.json"
    known: dict[str, list[float]] = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(read_bytes(path))
    key = short_hash(measured)
    if not with_steps and key not in known:
        key = short_hash([*measured, "without steps"])
    if key not in known:
        timing = time_steps(config, tokens, steps=TIMED_STEPS if with_steps else 0)
        known[key] = list(asdict(timing).values())
        # If the cache can't be written, the next plan measures again; so it does if other programs ran meanwhile.
        with contextlib.suppress(DiskError):
            if timing.waited <= MOST_WAITED:
                write_atomic(path, json.dumps(known))
    return Timing(*known[key])


def find_waited() -> float:
    """The largest share of a timing that this process has read or measured in which it waited for a core."""
    return max((timing.waited for timing in _timings.values()), default=0.0)


class StepTimer:
    """A training observer that only measures the time of each step."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._started = self._passed = 0.0
        self.passes: list[float] = []
        """Seconds of each step's forward and backward passes, which grow with the batch."""
        self.updates: list[float] = []
        """Seconds of each step's update of the weights, which don't."""

    @property
    def total(self) -> float:
        return sum(self.passes) + sum(self.updates)

    def steps(self) -> Iterator[int]:
        for step in range(1, self._steps + 1):
            if len(self.updates) >= 2 and self.total > LONGEST_TIMING_S:
                return
            self._started = time.perf_counter()
            yield step

    def before_update(self, step: int) -> None:
        self._passed = time.perf_counter()

    def after_step(self, *_: float) -> None:
        self.passes.append(self._passed - self._started)
        self.updates.append(time.perf_counter() - self._passed)

    def medians(self) -> tuple[float, float]:
        """Seconds of the passes and of the update, without the first two steps, which allocate memory; 0 of none."""
        if not self.updates:
            return 0.0, 0.0
        # A large model takes only two steps; then the second one counts.
        counted = slice(2, None) if len(self.updates) > 2 else slice(-1, None)
        return median(self.passes[counted]), median(self.updates[counted])

    def diverged(self, *_: object) -> None: ...


def time_steps(config: RunConfig, tokens: Tokens, *, steps: int = TIMED_STEPS) -> Timing:
    """Measure a `Timing`: passes and update are medians of `steps` steps, after two that allocate memory; 0 of none."""
    hardware = Hardware(config.device, config.precision)
    prepare_cpu(config.n_threads)
    timed, times_larger = shrink_step(config)
    if timed.max_steps < steps + 2:
        # Longer than the run is; at a constant rate, because phases of so few steps need not fit.
        timed = timed.override({"schedule": "constant", "max_steps": steps + 2})
    waited, started = read_waiting_s(), time.perf_counter()
    training = build_training(timed, hardware, tokens)
    build_s = time.perf_counter() - started
    watch = StepTimer(steps + 2 if steps else 0)
    with contextlib.suppress(Diverged):
        train(training, watch)
    repeats = 1 if watch.total > LONGEST_TIMING_S else 3
    passes_s, update_s = watch.medians()
    beside = _time_beside(training, tokens, repeats)
    took = (time.perf_counter() - started) * config.n_threads
    share = 0.0 if waited is None else max(0.0, (read_waiting_s() or 0.0) - waited) / took
    return Timing(build_s, passes_s * times_larger, update_s, *beside, waited=min(1.0, share))


def _time_beside(training: Training, tokens: Tokens, repeats: int) -> tuple[float, float, float]:
    """Seconds per token of an evaluation, of a sample within the context, and of a sample beyond it."""
    model, hardware, block_size = training.model, training.hardware, training.config.block_size
    windows = list(val_windows(tokens.val, block_size=block_size, limit=training.config.batch_size))
    predicted = sum(y.numel() for _, y in windows)
    eval_s = _least(lambda: evaluate(model, windows, tokens.tokenizer.token_bytes, hardware), repeats)
    text = torch.zeros(block_size + 1, dtype=torch.int64, device=hardware.device)
    early = _least(lambda: generate(model, text[:1], TIMED_TOKENS, seed=0), repeats)
    late = _least(lambda: generate(model, text, 1, seed=0), repeats)
    return eval_s / predicted, early / TIMED_TOKENS, late


def _least(work: Callable[[], object], repeats: int) -> float:
    """The shortest of several times, because other work on the machine can only make them longer."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def shrink_step(config: RunConfig) -> tuple[RunConfig, float]:
    """A config with a smaller step to time, and the factor by which the real step's passes are larger.

    The passes cost about 6 floating-point operations per parameter and token, so their time is nearly proportional to
    the number of tokens; the update costs the same whatever their number.

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
