"""Times what a run does besides its steps, part by part, with the functions that `gptexp run` uses."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from gptexp.config import RunConfig, build_config
from gptexp.data.batches import Tokens, val_windows
from gptexp.data.corpus import cache_dir
from gptexp.mirrors.protocol import RunInfo
from gptexp.mirrors.wandb import WandbTracker
from gptexp.records import StepRecord
from gptexp.studies.estimate import count_evaluations, count_samples, sample_seconds
from gptexp.studies.results import summarize
from gptexp.tracking.provenance import describe_provenance
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import RunLog
from gptexp.training.checkpoint import save_checkpoint
from gptexp.training.evaluate import evaluate
from gptexp.training.loop import Training
from gptexp.training.progress import Progress
from gptexp.training.sample import generate

REPEATS = 3
"""How often evaluation, sample and checkpoint are timed."""
PATIENCE_S = 5.0
"""A measurement is not repeated after it has taken this many seconds in total."""
FIRST_RECORDS = 50
"""Number of first rows for W&B whose time counts as part of its start."""
TIMED_RECORDS = 200
TIMED_TOKENS = 20
"""Number of sampled tokens that are timed within the context; beyond it a single token is timed."""


@dataclass(frozen=True)
class Part:
    """Something that a run does besides its steps."""

    name: str
    times: int
    """How often it happens in a run."""
    each_s: float
    """Seconds each time."""
    once_per_worker: bool = False
    """Whether only the first run of a worker process does it."""


def measure_overheads(content: dict[str, Any], training: Training, tokens: Tokens) -> list[Part]:
    """Time all parts except the start-up. Leaves no files.

    Args:
        content: the config.json of the run whose parts are counted.
        training: a model of the run's shape, in any state.
    """
    run = build_config(content["config"])
    subset_s, subset_tokens = _time_evaluation(run, training, tokens)
    parts = [Part("evaluation, subset", count_evaluations(run), subset_s)]
    if run.final_eval == "whole":
        parts.append(Part("evaluation, whole val split", 1, subset_s * (len(tokens.val) - 1) / subset_tokens))
    parts.append(Part("samples", count_samples(run), _time_sample(run, training)))
    # Below the cache folder, because the system's temporary folder may be in memory, where writing costs nothing.
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="bench-") as folder:
        parts.append(Part("records", run.max_steps, _time_record(Path(folder))))
        parts.append(Part("checkpoints", count_checkpoints(run), _time_checkpoint(Path(folder), training)))
        (first_s, _), (next_s, row_s) = (_time_wandb(Path(folder) / name, content) for name in ("first", "next"))
        parts.append(Part("start of W&B's client", 1, max(0.0, first_s - next_s), once_per_worker=True))
        parts.append(Part("W&B offline", 1, next_s + row_s * max(0, run.max_steps - FIRST_RECORDS)))
    return parts


def count_checkpoints(run: RunConfig) -> int:
    """Largest number of checkpoints: at each interval, each evaluation (it may be the best), the end, and once more
    for the last weights."""
    due = {
        step for every in (run.checkpoint_interval, run.eval_interval) for step in range(every, run.max_steps, every)
    }
    return len(due | {run.max_steps}) + 1


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _usual_seconds(work: Callable[[], object]) -> float:
    """Median of `REPEATS` times, or of fewer if they take long. The first one runs with cold caches."""
    seconds = [_seconds(work)]
    while len(seconds) < REPEATS and sum(seconds) < PATIENCE_S:
        seconds.append(_seconds(work))
    return median(seconds)


def _time_evaluation(run: RunConfig, training: Training, tokens: Tokens) -> tuple[float, int]:
    """Seconds of one evaluation on the subset, and the number of tokens that it predicts."""
    windows = list(val_windows(tokens.val, block_size=run.block_size, limit=run.eval_windows))
    token_bytes = tokens.tokenizer.token_bytes
    seconds = _usual_seconds(lambda: evaluate(training.model, windows, token_bytes, training.hardware))
    return seconds, sum(y.numel() for _, y in windows)


def _time_sample(run: RunConfig, training: Training) -> float:
    text = torch.zeros(run.block_size + 1, dtype=torch.int64, device=training.hardware.device)
    n_early = min(TIMED_TOKENS, run.sample_tokens, run.block_size)
    early = _usual_seconds(lambda: generate(training.model, text[:1], n_early, seed=0)) / n_early
    is_long = run.sample_tokens > run.block_size
    late = _usual_seconds(lambda: generate(training.model, text, 1, seed=0)) if is_long else 0.0
    return sample_seconds(run, early, late)


def _time_record(folder: Path) -> float:
    log = RunLog(folder / "records.jsonl")
    seconds = _seconds(lambda: _log_steps(log, 1, TIMED_RECORDS))
    log.close()
    return seconds / TIMED_RECORDS


def _time_checkpoint(folder: Path, training: Training) -> float:
    state, steps = {"records_bytes": 0}, itertools.count(1)
    return _usual_seconds(lambda: save_checkpoint(folder, next(steps), training.model, training.optimizer, state))


def _time_wandb(folder: Path, content: dict[str, Any]) -> tuple[float, float]:
    """Seconds of W&B's start, first rows and end together, and seconds of each further row.

    Measured alone; in a run the mirror works in its own thread.
    """
    run_id = content["run_id"]
    run_dir = RunDir(folder / run_id)
    run_dir.write_config(content)
    info = RunInfo(str(run_dir.path), content, {**describe_provenance("gptexp bench"), "from_step": 0}, {}, ())
    tracker = WandbTracker("offline")
    start_s = _seconds(lambda: tracker.start(info))
    # The first rows of a run take longer, so they count as part of its start.
    start_s += _seconds(lambda: _log_steps(tracker, 1, FIRST_RECORDS))
    rows_s = _seconds(lambda: _log_steps(tracker, FIRST_RECORDS + 1, TIMED_RECORDS))
    result = summarize(run_id, "completed", f"{FIRST_RECORDS + TIMED_RECORDS} steps", Progress(), 0.0)
    return start_s + _seconds(lambda: tracker.finish(result)), rows_s / TIMED_RECORDS


def _log_steps(log: RunLog | WandbTracker, first: int, n_steps: int) -> None:
    for step in range(first, first + n_steps):
        log.log(StepRecord(step, 10.123456789, 6e-4, 1.23456789, True, 512 * step, 0.123456789, 4157.123456789))
