"""A run's folder while it trains: records, mirrors and checkpoints, and the way back to the last of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gptexp.files import DiskError, disk_errors, exists, remove_at_once
from gptexp.mirrors.protocol import FanOut
from gptexp.records import Record
from gptexp.tracking.agreement import RECORDS_SUM, Disagreement, LogPrefix, cut_log
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import RunLog, read_log
from gptexp.training.checkpoint import (
    OPTIMIZER,
    DamagedCheckpoint,
    drop_optimizer,
    keep_checkpoints,
    list_checkpoints,
    load_checkpoint,
    read_state,
    save_checkpoint,
    step_of,
)
from gptexp.training.loop import Training
from gptexp.training.progress import Progress


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
        state = {RECORDS_SUM: self.run_log.sum.to_json()}
        save_checkpoint(self.checkpoints, step, self.training.model, self.training.optimizer, state)
        keep_checkpoints(self.checkpoints, newest=2, steps=self._named_steps())

    def keep_final(self) -> None:
        """Leave the last weights and the best ones; a finished run needs no optimizer state.

        Nothing is written again: from one moment to the next the last weights are there.
        """
        newest = list_checkpoints(self.checkpoints)[:1]
        keep_checkpoints(self.checkpoints, newest=1, steps=self._named_steps())
        for path in newest:
            if exists(path / OPTIMIZER, path.parent.parent):
                drop_optimizer(path)

    def _named_steps(self) -> set[int]:
        best = {self.progress.best_eval.step} if self.progress.best_eval else set()
        return best | self.progress.milestone_steps


def restore(run_dir: RunDir, training: Training, warn: Callable[[str], None]) -> LogPrefix:
    """Put the newest checkpoint that the record log bears out into `training`; what lies beyond it is removed.

    A checkpoint counts only with the records that it was saved with: weights of step 300 with a log that was lost
    would be trained as if they were those of step 0.

    Returns:
        The records up to that checkpoint, none where there is no such checkpoint.

    Raises:
        DiskError: the log can't be read.
    """
    log = _read_log(run_dir)
    refused = []
    for path in list_checkpoints(run_dir.checkpoints):
        try:
            state = read_state(path)
            # Weights of the last step need no optimizer: nothing is left to train.
            is_last = state.step == training.config.max_steps
            if not state.is_resumable and not is_last:
                continue
            prefix = cut_log(state, log, run_dir.read_format())
            load_checkpoint(path, training.model, training.optimizer if state.is_resumable else None)
        except (DamagedCheckpoint, Disagreement) as error:
            reason = str(error).removeprefix(f"{path.name}: ")
            refused.append(f"checkpoint {path.name} can't be gone on from: {reason}")
            continue
        _begin_at(state.step, refused, warn)
        _discard_beyond(run_dir, state.step)
        return prefix
    _begin_at(0, refused, warn)
    _discard_beyond(run_dir, 0)
    return LogPrefix(0, [])


def find_resumable(run_dir: RunDir, max_steps: int) -> int:
    """The step that `restore` would go on from, as far as can be seen without reading tensors."""
    try:
        log = _read_log(run_dir)
    except DiskError:
        return 0
    for path in list_checkpoints(run_dir.checkpoints):
        with contextlib.suppress(DamagedCheckpoint, Disagreement):
            state = read_state(path)
            if state.is_resumable or state.step == max_steps:
                cut_log(state, log, run_dir.read_format())
                return state.step
    return 0


def _begin_at(step: int, refused: list[str], warn: Callable[[str], None]) -> None:
    if refused:
        where = "; going back to the one before" if step else ", and no other one is left"
        warn(f"{'; '.join(refused)}{where}: training goes on from step {step}")


def _discard_beyond(run_dir: RunDir, step: int) -> None:
    """Remove the checkpoints that the records no longer reach: each is made again when its step comes."""
    for path in list_checkpoints(run_dir.checkpoints):
        if step_of(path) > step:
            remove_at_once(path)


def _read_log(run_dir: RunDir) -> bytes:
    with disk_errors(run_dir.records):
        return read_log(run_dir.records, run_dir.within)
