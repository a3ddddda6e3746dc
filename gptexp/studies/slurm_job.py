"""One job as Slurm runs it, and the files by which it speaks with whoever launched it, or looks on later."""

from __future__ import annotations

import base64
import contextlib
import pickle
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.files import DiskError, append_bytes, exists, read_bytes, remove_file, write_atomic
from gptexp.studies.launchers import JobFunction, LocalLauncher, Notice, launch_one

STOP_POLL_S = 0.5
"""Between two looks whether the job is to stop."""
CHECKPOINT_S = 60.0
"""How long a run that is preempted may take to its next checkpoint."""
TAIL_BYTES = 2**16
"""As much of what a job has said is read by a command that finds it at work."""
LARGEST_EVENTS = 2**30


class Errand:
    """What Slurm runs: one job, in a worker of its own, so that a signal doesn't meet it in the middle of a step."""

    def __init__(self, function: JobFunction, job: Any, files: JobFiles) -> None:
        self._function, self._job, self._files = function, job, files
        self._launcher: LocalLauncher | None = None
        self._ended = threading.Event()

    def __call__(self) -> tuple[str, Any]:
        """The job's result, or the reason why there is none."""
        self._launcher, self._ended = LocalLauncher(1), threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        end = launch_one(self._launcher, self._function, self._job, lambda news: self._files.say(news.event))
        self._ended.set()
        return ("result", end.result) if end.error is None else ("error", end.error)

    def checkpoint(self) -> Any:
        """Called by submitit, in a signal handler, when the job is preempted or out of time: what to queue again."""
        import submitit

        self._files.say(Notice("preempted, or out of time: it is queued again, and goes on from its last checkpoint"))
        if self._launcher is not None:
            self._launcher.stop()
            self._launcher.await_workers(CHECKPOINT_S)
        return submitit.helpers.DelayedSubmission(Errand(self._function, self._job, self._files))

    def __getstate__(self) -> tuple[Any, ...]:
        return self._function, self._job, self._files

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def _watch(self) -> None:
        while not self._ended.wait(STOP_POLL_S):
            if self._launcher is not None and self._files.is_to_stop():
                self._launcher.stop()
                return


@dataclass(frozen=True)
class JobFiles:
    """The files of one job in `FOLDER`."""

    folder: Path
    name: str

    @property
    def _events(self) -> Path:
        return self.folder / f"{self.name}.events"

    @property
    def _stop(self) -> Path:
        return self.folder / f"{self.name}.stop"

    @property
    def _id(self) -> Path:
        return self.folder / f"{self.name}.id"

    def say(self, event: Any) -> None:
        """Add an event. A full disk costs what is shown, not the run."""
        with contextlib.suppress(DiskError, OSError):
            append_bytes(self._events, base64.b64encode(pickle.dumps(event)) + b"\n", self.folder)

    def hear(self, begin: int | None) -> tuple[list[Any], int]:
        """The events from byte `begin` on, and where they end; None begins with the latest."""
        try:
            data = read_bytes(self._events, self.folder, limit=LARGEST_EVENTS)
        except FileNotFoundError:
            return [], 0
        start = max(0, len(data) - TAIL_BYTES) if begin is None else begin
        end = data.rfind(b"\n") + 1
        lines = data[start:end].splitlines()
        if begin is None and start:
            # The first one may be half a line.
            lines = lines[1:]
        return [pickle.loads(base64.b64decode(line)) for line in lines], max(end, start)

    def ask_to_stop(self) -> None:
        write_atomic(self._stop, "stop\n", self.folder)

    def is_to_stop(self) -> bool:
        return exists(self._stop, self.folder)

    def write_id(self, job_id: str) -> None:
        write_atomic(self._id, job_id, self.folder)

    def read_id(self) -> str | None:
        """The job that was submitted last; None where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return read_bytes(self._id, self.folder).decode()
        return None

    def clear(self) -> None:
        """Forget what an earlier job left."""
        for path in (self._events, self._stop, self._id):
            with contextlib.suppress(FileNotFoundError):
                remove_file(path, self.folder)
