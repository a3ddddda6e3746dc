"""One run, from its resolved config to its result.json."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from filelock import Timeout as LockTimeout

from gptexp.config import build_config
from gptexp.data.batches import Tokens, outlier_batch, train_batch
from gptexp.errors import GptexpError
from gptexp.files import DiskError, disk_errors
from gptexp.model.gpt import GPT
from gptexp.records import RECORD_TYPES, Record
from gptexp.studies.resolve import read_tokens
from gptexp.tracking.provenance import describe_provenance, now
from gptexp.tracking.run_dir import Result, RunDir, append_line, read_lines
from gptexp.tracking.run_log import RunLog, read_records
from gptexp.tracking.tracker import FanOut, RunInfo, Tracker
from gptexp.tracking.wandb_server import inside_sweep
from gptexp.training.checkpoint import (
    DamagedCheckpoint,
    keep_checkpoints,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from gptexp.training.device import Hardware, prepare_cpu
from gptexp.training.divergence import Diverged
from gptexp.training.flags import find_flags
from gptexp.training.loop import Training, train
from gptexp.training.observer import Interrupted, RunObserver
from gptexp.training.optimizer import build_optimizer
from gptexp.training.progress import Progress, fold

LOCK_POLL_S = 0.5
"""Between two looks whether another process is done with a run, and whether we were asked to stop."""


@dataclass(frozen=True)
class Job:
    """All that a worker needs to carry out one run. Plain data: it crosses process boundaries."""

    run_id: str
    run_dir: str
    content: dict[str, Any]
    """The run's config.json."""
    corpus: str
    """What to load the corpus by: a name or a path."""
    command: str
    member: dict[str, Any]
    """The membership that asked for the run first, or an empty dict."""
    replay: bool = False
    """Tell the trackers of the run even when it is done: another study has asked for it, which they should know."""


@dataclass
class RunKeeper:
    """The run directory and the mirrors, as the observer sees them."""

    run_log: RunLog
    mirrors: FanOut
    training: Training
    checkpoints: Path
    progress: Progress
    should_stop: Callable[[], bool]

    def log(self, record: Record) -> None:
        self.run_log.log(record)
        self.mirrors.log(record)

    def save(self, step: int) -> None:
        self.run_log.sync()
        state = {"records_bytes": self.run_log.size}
        save_checkpoint(self.checkpoints, step, self.training.model, self.training.optimizer, state)
        keep_checkpoints(self.checkpoints, newest=2, steps=self._named_steps())

    def keep_final(self, step: int) -> None:
        """Leave the last weights and the best ones; a finished run needs no optimizer state."""
        save_checkpoint(self.checkpoints, step, self.training.model, None, {"records_bytes": self.run_log.size})
        keep_checkpoints(self.checkpoints, newest=1, steps=self._named_steps())

    def _named_steps(self) -> set[int]:
        best = {self.progress.best_eval.step} if self.progress.best_eval else set()
        return best | self.progress.milestone_steps


def execute(
    job: Job, trackers: Sequence[Tracker], should_stop: Callable[[], bool], warn: Callable[[str], None]
) -> Result:
    """Train one run, or go on with it where its last checkpoint left it; a run that is done is left as it is.

    In a W&B sweep the trackers are told of a run that is done as if it had been trained now: each trial has a W&B run
    of its own.

    A run that another process is working on is waited for, and then answered from its record. The lock is the
    operating system's own, so a process that died holds none.

    Raises:
        GptexpError: the corpus can't be had, or the disk is full; what was recorded stays.
    """
    run_dir = RunDir(Path(job.run_dir))
    if run_dir.path.is_symlink():
        raise GptexpError(
            f"{run_dir.path} is a link, and a run is only written inside its runs folder; remove the link"
        )
    with disk_errors(run_dir.path):
        run_dir.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir.path / "lock")
    while True:
        try:
            with lock.acquire(timeout=LOCK_POLL_S):
                if (done := read_done(run_dir, job.content)) is not None:
                    if job.replay or inside_sweep():
                        replay(job, run_dir, done, FanOut(trackers, warn))
                    return done
                return _execute_locked(job, run_dir, trackers, should_stop, warn)
        except LockTimeout:
            if should_stop():
                return summarize(job.run_id, "interrupted", "stopped before it began", Progress(), 0.0)


def _execute_locked(
    job: Job,
    run_dir: RunDir,
    trackers: Sequence[Tracker],
    should_stop: Callable[[], bool],
    warn: Callable[[str], None],
) -> Result:
    config = build_config(job.content["config"])
    hardware = Hardware(config.device, config.precision)
    prepare_cpu(config.threads)
    tokens = read_tokens(job.corpus, config.tokenizer)
    if tokens.corpus.checksum != job.content["corpus"]["checksum"]:
        raise GptexpError(f"corpus {job.corpus!r} has changed since this run was planned; start the command again")
    run_dir.write_config(job.content)
    training = build_training(config, hardware, tokens)
    earlier, keep_bytes = restore(run_dir, training, warn)
    progress = fold(earlier)
    provenance = {**describe_provenance(job.command), "from_step": progress.step}
    append_line(run_dir.provenance, provenance)
    run_log = RunLog(run_dir.records, keep_bytes=keep_bytes)
    mirrors = FanOut(trackers, warn)
    keeper = RunKeeper(run_log, mirrors, training, run_dir.checkpoints, progress, should_stop)
    mirrors.start(describe_run(job, provenance, earlier))
    started = time.perf_counter()
    try:
        with contextlib.closing(run_log):
            outcome, detail = carry_out(training, RunObserver(training, tokens, progress, keeper))
            run_log.sync()
    except Exception as error:
        # Without an end the mirror of this run would take the rows of the worker's next one.
        duration_s = earlier_seconds(run_dir) + time.perf_counter() - started
        mirrors.finish(summarize(job.run_id, "failed", str(error), progress, duration_s))
        raise
    duration_s = earlier_seconds(run_dir) + time.perf_counter() - started
    flags = find_flags(read_typed_records(run_dir, None))
    result = replace(summarize(job.run_id, outcome, detail, progress, duration_s), flags=flags)
    run_dir.write_result(result)
    if outcome == "completed" and config.max_steps > 0:
        # Only now: until there is a result, a killed run needs its optimizer state to go on.
        keeper.keep_final(config.max_steps)
    mirrors.finish(result)
    return result


def replay(job: Job, run_dir: RunDir, result: Result, mirrors: FanOut) -> None:
    """Tell the mirrors of a run that is done, from its record."""
    provenance = {**(read_lines(run_dir.provenance) or [{}])[-1], "from_step": result.last_step}
    mirrors.start(describe_run(job, provenance, read_typed_records(run_dir, None)))
    mirrors.finish(result)


def read_done(run_dir: RunDir, content: dict[str, Any]) -> Result | None:
    """The result of a run that needs no more work, or None. A config.json that got damaged since is written again."""
    if not run_dir.is_done():
        return None
    try:
        run_dir.read_config()
    except (ValueError, FileNotFoundError):
        run_dir.write_config(content)
    return run_dir.read_result()


def describe_run(job: Job, provenance: dict[str, Any], earlier: Sequence[Record]) -> RunInfo:
    """What trackers are told when a run starts or goes on."""
    about = {key: value for key, value in job.content.items() if key not in ("run_id", "config")}
    return RunInfo(
        run_id=job.run_id,
        run_dir=job.run_dir,
        config=job.content["config"],
        about=about,
        provenance=provenance,
        member=job.member,
        from_step=int(provenance["from_step"]),
        earlier=tuple(earlier),
    )


def build_training(config: Any, hardware: Hardware, tokens: Tokens) -> Training:
    """Model, optimizer and batches of a resolved config, at step 0."""
    model = GPT(config, seed=config.seed).to(hardware.device)
    shape = {
        "seed": config.seed,
        "batch_size": config.batch_size,
        "grad_accum_steps": config.grad_accum_steps,
        "block_size": config.block_size,
    }

    def batches(step: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if config.dropout:
            # Dropout masks follow from (seed, step), so a resumed run draws the same ones.
            torch.manual_seed(config.seed * 1_000_003 + step)
        draw = outlier_batch if step == config.outlier_step else train_batch
        for x, y in draw(tokens.train, step=step, **shape):
            yield x.to(hardware.device), y.to(hardware.device)

    return Training(config, hardware, model, build_optimizer(model, config), batches)


def carry_out(training: Training, observer: RunObserver) -> tuple[str, str]:
    """Train to the end, to divergence or to an interruption; returns the outcome and a word on it."""
    try:
        train(training, observer)
        observer.finish()
    except Diverged as error:
        return "diverged", str(error)
    except Interrupted as error:
        return "interrupted", str(error)
    return "completed", f"{training.config.max_steps} steps"


def restore(run_dir: RunDir, training: Training, warn: Callable[[str], None]) -> tuple[list[Record], int]:
    """Put the newest readable checkpoint into `training`.

    Returns:
        The records up to that checkpoint, and the bytes of the record log that hold them.
    """
    for path in list_checkpoints(run_dir.checkpoints):
        try:
            _, state = load_checkpoint(path, training.model, training.optimizer)
        except DamagedCheckpoint as error:
            warn(f"checkpoint {error}; going back to the one before")
            continue
        keep_bytes = int(state["records_bytes"])
        return read_typed_records(run_dir, keep_bytes), keep_bytes
    return [], 0


def summarize(run_id: str, outcome: str, detail: str, progress: Progress, duration_s: float) -> Result:
    """The result of a run from its progress."""
    last, best, diverged = progress.last_eval, progress.best_eval, progress.diverged
    return Result(
        run_id=run_id,
        outcome=outcome,
        outcome_detail=detail,
        last_step=progress.step,
        final_train_loss=progress.train_loss,
        final_val_loss=last.val_loss if last else None,
        final_val_bpb=last.val_bpb if last else None,
        best_val_loss=best.val_loss if best else None,
        best_val_step=best.step if best else None,
        initial_val_loss=progress.initial_val_loss,
        diverged_step=diverged.step if diverged else None,
        diverged_where=diverged.detail if diverged else None,
        last_finite_train_loss=progress.last_finite_train_loss,
        clipped_fraction=progress.clipped_steps / progress.step if progress.step else None,
        max_grad_norm=progress.max_grad_norm,
        tokens_seen=progress.tokens_seen,
        duration_s=duration_s,
        peak_memory_mib=peak_memory_mib(),
        finished_at=now(),
    )


def report_failure(job: Job, reason: str) -> Result:
    """Leave `failed` and the reason as the run's result; its records stay, and another start retries it."""
    run_dir = RunDir(Path(job.run_dir))
    progress = fold(read_typed_records(run_dir, None))
    result = summarize(job.run_id, "failed", reason, progress, earlier_seconds(run_dir))
    with contextlib.suppress(DiskError):
        run_dir.write_result(result)
    return result


def read_typed_records(run_dir: RunDir, up_to_bytes: int | None) -> list[Record]:
    """The records in the first `up_to_bytes` of the log (None: in all of it)."""
    return [
        RECORD_TYPES[fields.pop("kind")](**fields) for fields in read_records(run_dir.records, up_to_bytes=up_to_bytes)
    ]


def earlier_seconds(run_dir: RunDir) -> float:
    """Seconds that earlier, interrupted processes worked on the run."""
    with contextlib.suppress(ValueError):
        earlier = run_dir.read_result()
        return earlier.duration_s if earlier else 0.0
    return 0.0


def peak_memory_mib() -> float:
    """Most memory that this process held: on the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
