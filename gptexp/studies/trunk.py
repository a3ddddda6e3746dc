"""The steps that a fork shares with its parent: taken from a checkpoint of the parent, or trained again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gptexp.config import RunConfig
from gptexp.data.batches import Tokens
from gptexp.errors import GptexpError
from gptexp.mirrors.protocol import FanOut
from gptexp.records import StepRecord
from gptexp.studies.initial import fill_initial
from gptexp.studies.job import Job
from gptexp.studies.keeper import RunKeeper, find_resumable, restore
from gptexp.studies.results import Ending, earlier_seconds, summarize, tell_ending
from gptexp.studies.together import assign
from gptexp.tracking.agreement import Disagreement, LogPrefix, cut_log
from gptexp.tracking.lines import append_line
from gptexp.tracking.origin import Origin
from gptexp.tracking.provenance import describe_provenance
from gptexp.tracking.result import STOPPED, Result
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import RunLog, read_log, read_typed_records
from gptexp.training.checkpoint import (
    CheckpointState,
    DamagedCheckpoint,
    list_checkpoints,
    load_checkpoint,
    read_state,
)
from gptexp.training.distributed import Group, SharedTraining
from gptexp.training.loop import Training, train
from gptexp.training.observer import RunObserver
from gptexp.training.progress import fold


def reach_fork(
    job: Job,
    run_dir: RunDir,
    origin: Origin,
    tokens: Tokens,
    build: Callable[[Any], Training],
    should_stop: Callable[[], bool],
    warn: Callable[[str], None],
    group: Group | None,
) -> Result | None:
    """Bring a fork's folder to the step at which it leaves its parent: records, and a checkpoint of that step.

    They come from the parent's newest checkpoint at or before that step; what lies between, or all of it where the
    parent keeps none to go on from, is trained with the parent's config. Those steps must have the parent's numbers.

    Args:
        build: a config -> model, optimizer and batches at step 0.
        group: the processes that train the fork together, as its parent's did.

    Returns:
        The result of a fork that was interrupted before it got there; None once it is there.

    Raises:
        GptexpError: this machine doesn't give the parent's numbers again.
    """
    parent = RunDir(run_dir.within / origin.parent)
    if find_resumable(run_dir, job.run.config.max_steps) < origin.step:
        ended = _train_shared(job, run_dir, parent, origin, tokens, build, should_stop, warn, group)
        if ended is not None:
            return ended
    _compare_steps(run_dir, parent, origin)
    return None


def _train_shared(
    job: Job,
    run_dir: RunDir,
    parent: RunDir,
    origin: Origin,
    tokens: Tokens,
    build: Callable[[Any], Training],
    should_stop: Callable[[], bool],
    warn: Callable[[str], None],
    group: Group | None,
) -> Result | None:
    config = job.run.config.override(origin.was)
    training = build(config)
    own = restore(run_dir, training, warn)
    taken = own if own.n_bytes else _take_checkpoint(parent, origin.step, training)
    if config.init_from is not None and not taken.n_bytes:
        fill_initial(training.model, config.init_from, job.init_from)
    progress = fold(taken.records)
    worked_s = earlier_seconds(run_dir)
    append_line(
        run_dir.provenance,
        {**describe_provenance(job.command), "from_step": progress.step, "earlier_s": worked_s},
        run_dir.within,
    )
    run_dir.forget_result()
    with contextlib.closing(RunLog(run_dir.records, keep_bytes=own.n_bytes)) as run_log:
        keeper = RunKeeper(run_log, FanOut((), warn), training, run_dir.checkpoints, progress, should_stop)
        if taken is not own:
            for record in taken.records:
                run_log.log(record)
            if progress.step:
                keeper.save(progress.step)
        ending, seconds = Ending(STOPPED), 0.0
        if progress.step < origin.step:
            warn(f"trains steps {progress.step + 1:,} to {origin.step:,} of run {origin.parent} again, up to the fork")
            # For whoever watches it is a run that goes on: its end is the fork's.
            longer = replace(training, config=_lengthen(config, origin.step + 1))
            observer = RunObserver(longer, tokens, progress, keeper, origin.step)
            assign(group, job, config)
            ending, seconds = _train_together(training, observer, group)
        run_log.sync()
        is_there = ending.outcome == STOPPED
        outcome, detail = ("interrupted", "at its fork") if is_there else (ending.outcome, "before its fork")
        # It holds the seconds of the shared steps, for whoever goes on from here.
        result = summarize(job.run_id, outcome, f"{ending.detail}, {detail}", progress, worked_s + seconds)
        run_dir.write_result(result, run_log.sum)
        return None if is_there else result


def _lengthen(config: RunConfig, steps: int) -> RunConfig:
    """A config of at least so many steps, its outlier batch at the same step."""
    steps, outlier = max(config.max_steps, steps), config.outlier_step
    return config.model_copy(update={"max_steps": steps, "outlier_at": None if outlier is None else outlier / steps})


def _train_together(training: Training, observer: RunObserver, group: Group | None) -> tuple[Ending, float]:
    """Train up to the fork, with the processes of the group if there is one; how that ended, and its seconds."""
    shared = SharedTraining(training, group)
    try:
        if training.config.compile:
            shared.compile()
        started = time.perf_counter()
        with tell_ending() as ending:
            train(training, shared.lead(observer))
        return ending, time.perf_counter() - started
    finally:
        shared.close()


def _take_checkpoint(parent: RunDir, step: int, training: Training) -> LogPrefix:
    """Put the parent's newest checkpoint at or before `step` into `training`; nothing of the parent is changed.

    Returns:
        The records that go with it; none where there is no such checkpoint.
    """
    for _, path, prefix in _list_starts(parent, step):
        with contextlib.suppress(DamagedCheckpoint, OSError):
            load_checkpoint(path, training.model, training.optimizer)
            return prefix
    return LogPrefix(0, [])


def find_start(parent: RunDir, step: int) -> int:
    """The step of the parent's checkpoint that a fork at `step` begins from, as far as can be seen without reading
    tensors; 0 where there is none."""
    return next((begin for begin, _, _ in _list_starts(parent, step)), 0)


def _list_starts(parent: RunDir, step: int) -> Iterator[tuple[int, Path, LogPrefix]]:
    """The parent's checkpoints at or before `step`: their steps, and the records that bear them out; newest first."""
    with contextlib.suppress(OSError):
        log = read_log(parent.records, parent.within)
        for path, state in list_usable(parent):
            if state.step <= step:
                with contextlib.suppress(Disagreement):
                    yield state.step, path, cut_log(state, log, parent.read_format())


def list_usable(run_dir: RunDir) -> list[tuple[Path, CheckpointState]]:
    """A run's checkpoints that hold the optimizer's state too, newest first, with what they say of themselves."""
    found = []
    for path in list_checkpoints(run_dir.checkpoints):
        with contextlib.suppress(DamagedCheckpoint):
            state = read_state(path)
            found += [(path, state)] if state.is_resumable else []
    return found


def _compare_steps(run_dir: RunDir, parent: RunDir, origin: Origin) -> None:
    """Raises:
    GptexpError: a step before the fork has other numbers than the parent's.
    """
    theirs = {record.step: record for record in read_typed_records(parent.records) if isinstance(record, StepRecord)}
    for record in read_typed_records(run_dir.records):
        if not isinstance(record, StepRecord) or record.step > origin.step or record.step not in theirs:
            continue
        there = theirs[record.step]
        if (record.train_loss, record.grad_norm, record.lr) != (there.train_loss, there.grad_norm, there.lr):
            raise GptexpError(
                f"step {record.step:,} of run {origin.parent}, trained again, has a loss of {record.train_loss!r}, and "
                f"its record says {there.train_loss!r}: this machine gives other numbers, so no fork of it can be "
                f"compared with it; fork where it was trained, or from a run that kept a checkpoint (--until-step)"
            )
