"""One run, from its resolved config to its result.json."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout as LockTimeout

from gptexp.data.baselines import load_baselines
from gptexp.data.batches import SAMPLERS, Tokens, outlier_batch
from gptexp.errors import GptexpError
from gptexp.files import disk_errors, kind_of, lock_file, make_folder
from gptexp.mirrors.protocol import FanOut, RunInfo, Tracker
from gptexp.mirrors.replay import replay
from gptexp.model.gpt import GPT
from gptexp.paths import label_folder
from gptexp.studies.initial import fill_initial
from gptexp.studies.job import Job
from gptexp.studies.keeper import RunKeeper, restore
from gptexp.studies.peak_memory import PEAK_MEMORY
from gptexp.studies.resolve import read_run_tokens
from gptexp.studies.results import earlier_seconds, summarize, tell_ending
from gptexp.studies.together import assign, gather
from gptexp.studies.trunk import reach_fork
from gptexp.tracking.leftovers import tidy_run
from gptexp.tracking.lines import append_line
from gptexp.tracking.origin import read_origin
from gptexp.tracking.provenance import describe_provenance
from gptexp.tracking.result import DONE, Result
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import RunLog, read_typed_records
from gptexp.training.device import Hardware, prepare_cpu
from gptexp.training.distributed import Group, SharedTraining
from gptexp.training.flags import find_flags
from gptexp.training.loop import Training, train
from gptexp.training.observer import RunObserver
from gptexp.training.optimizer import build_optimizer
from gptexp.training.progress import Progress, fold
from gptexp.training.sample import derive_seed

LOCK_POLL_S = 0.5
"""Between two looks whether another process is done with a run, and whether we were asked to stop."""


def execute(
    job: Job, trackers: Sequence[Tracker], should_stop: Callable[[], bool], warn: Callable[[str], None]
) -> Result:
    """Train one run, or go on with it where its last checkpoint left it; a run that is done is left as it is.

    With `job.replay` the trackers are told of a run that is done as if it had been trained now. A run that was planned
    as over (`job.is_over`) is never trained, whatever its outcome.

    With `job.until_step` it goes to that step and is left to be gone on with: by this function without it, or with a
    later one. A run that got there is left as it is, too.

    A run that another process is working on is waited for, and then answered from its record. The lock is the
    operating system's own, so a process that died holds none.

    Raises:
        GptexpError: the corpus can't be had, the disk is full, or a run that was over is no longer; what was recorded
            stays.
    """
    run_dir = RunDir(Path(job.run_dir))
    if kind_of(run_dir.path) == "link":
        raise GptexpError(
            f"{run_dir.path} is a link, and a run is only written inside its runs folder; remove the link"
        )
    with disk_errors(run_dir.path):
        make_folder(run_dir.path, run_dir.within)
    lock = lock_file(run_dir.path / "lock", run_dir.within)
    while True:
        try:
            with lock.acquire(timeout=LOCK_POLL_S):
                done = read_over(run_dir) if job.is_over else read_done(run_dir, job.content, job.until_step)
                if done is not None:
                    if job.replay:
                        replay(run_dir, job.content, job.member, done, FanOut(trackers, warn))
                    return done
                with gather(job) as group:
                    return _train_locked(job, run_dir, trackers, should_stop, warn, group)
        except LockTimeout:
            if should_stop():
                return summarize(job.run_id, "interrupted", "stopped before it began", Progress(), 0.0)


def _train_locked(
    job: Job,
    run_dir: RunDir,
    trackers: Sequence[Tracker],
    should_stop: Callable[[], bool],
    warn: Callable[[str], None],
    group: Group | None,
) -> Result:
    config = job.run.config
    PEAK_MEMORY.restart()
    hardware = Hardware(config.device, config.precision)
    prepare_cpu(config.n_threads)
    tokens = read_run_tokens(job.corpus, job.content)
    if tokens.corpus.checksum != job.content["corpus"]["checksum"]:
        raise GptexpError(f"corpus {job.corpus!r} has changed since this run was planned; start the command again")
    with disk_errors(run_dir.path):
        tidy_run(run_dir)
    if job.member:
        run_dir.restore_member(job.member)
    run_dir.write_config(job.content)
    build = functools.partial(build_training, hardware=hardware, tokens=tokens)
    if (origin := read_origin(job.content)) is not None:
        ended = reach_fork(job, run_dir, origin, tokens, build, should_stop, warn, group)
        if ended is not None:
            return ended
    assign(group, job, config)
    training = build(config)
    earlier = restore(run_dir, training, warn)
    if config.init_from is not None and not earlier.n_bytes:
        fill_initial(training.model, config.init_from, job.init_from)
    shared = SharedTraining(training, group)
    progress = fold(earlier.records)
    worked_s = earlier_seconds(run_dir)
    provenance = {**describe_provenance(job.command), "from_step": progress.step, "earlier_s": worked_s}
    if job.init_from is not None:
        provenance["init_from"] = label_folder(job.init_from)
    if config.compile and progress.step < config.max_steps:
        warn("compiling the training pass: half a minute the first time, seconds once this machine has done it")
        provenance["compile_s"] = round(shared.compile(), 1)
    append_line(run_dir.provenance, provenance, run_dir.within)
    # From here on the run is unfinished again, until it has a result of this process.
    run_dir.forget_result()
    run_log = RunLog(run_dir.records, keep_bytes=earlier.n_bytes)
    mirrors = FanOut(trackers, warn)
    keeper = RunKeeper(run_log, mirrors, training, run_dir.checkpoints, progress, should_stop)
    mirrors.start(RunInfo(job.run_dir, job.content, provenance, job.member, tuple(earlier.records)))
    started = time.perf_counter()
    try:
        with contextlib.closing(run_log):
            observer = RunObserver(training, tokens, progress, keeper, job.until_step)
            with tell_ending() as ending:
                train(training, shared.lead(observer))
                observer.finish()
                ending.detail = f"{config.max_steps} steps"
            run_log.sync()
    except Exception as error:
        # Without an end the mirror of this run would take the rows of the worker's next one.
        duration_s = worked_s + time.perf_counter() - started
        mirrors.finish(summarize(job.run_id, "failed", str(error), progress, duration_s))
        raise
    finally:
        shared.close()
    duration_s = worked_s + time.perf_counter() - started
    baselines = load_baselines(tokens)
    bigram = baselines.bigram if baselines else None
    flags = find_flags(read_typed_records(run_dir.records), ended=ending.outcome in DONE, bigram_loss=bigram)
    result = summarize(job.run_id, ending.outcome, ending.detail, progress, duration_s)
    result = replace(result, bigram_loss=bigram, flags=flags)
    run_dir.write_result(result, run_log.sum)
    if ending.outcome == "completed":
        # Only now: until there is a result, a killed run needs its optimizer state to go on.
        keeper.keep_final()
    mirrors.finish(result)
    return result


def read_done(run_dir: RunDir, content: dict[str, Any], until_step: int | None = None) -> Result | None:
    """The result of a run that needs no more work, or None. A config.json that got damaged since is written again."""
    try:
        done = run_dir.read_done(until_step)
    except ValueError:
        return None
    if done is not None:
        run_dir.mend_config(content)
    return done


def read_over(run_dir: RunDir) -> Result:
    """The result of a run that was over when it was planned.

    Raises:
        GptexpError: it has none that can be read any more.
    """
    if (result := run_dir.read_sound_result()) is not None:
        return result
    raise GptexpError(f"run {run_dir.path.name} was over and its result.json is gone; start the command again")


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
            torch.manual_seed(derive_seed(config.seed, step))
        draw = outlier_batch if step == config.outlier_step else SAMPLERS[config.sampler]
        for x, y in draw(tokens.train, step=step, **shape):
            yield x.to(hardware.device), y.to(hardware.device)

    return Training(config, hardware, model, build_optimizer(model, config), batches)
