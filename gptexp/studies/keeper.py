"""A run's folder while it trains: records, mirrors and checkpoints, and the way back to the last of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gptexp.records import Record
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import RunLog, read_typed_records
from gptexp.tracking.tracker import FanOut
from gptexp.training.checkpoint import (
    DamagedCheckpoint,
    keep_checkpoints,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
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
        return read_typed_records(run_dir.records, keep_bytes), keep_bytes
    return [], 0
