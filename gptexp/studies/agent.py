"""What is on a node that has a disk of its own: it has a run carried out there, and sends home what that writes.

It imports no PyTorch: only the run's own process does.
"""

from __future__ import annotations

import contextlib
import os
import pkgutil
import queue
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gptexp.files import list_folder, make_folder, remove_tree, write_new
from gptexp.paths import label_folder
from gptexp.processes import is_alive
from gptexp.studies.job import Job
from gptexp.studies.launchers import JobContext, JobEnd, JobEvent, JobFunction, LocalLauncher, launch_one
from gptexp.studies.luggage import Watcher, unpack_run

SYNC_S = 0.5
"""Between two looks for what a run has written, while it says nothing itself."""
WORK_FOLDER = "gptexp-ray-"
"""Beginning of the names of the workers' folders; the number of the process follows."""


@dataclass(frozen=True)
class Named:
    """A function by its name, which is imported by whoever calls it."""

    name: str
    """`module:function`."""

    @classmethod
    def of(cls, function: JobFunction) -> Named:
        return cls(f"{function.__module__}:{function.__qualname__}")

    def __call__(self, job: Any, context: JobContext) -> Any:
        return pkgutil.resolve_name(self.name)(job, context)


class Agent:
    """What is on a node: it has one run carried out in a process of its own, and sends what that writes."""

    def __init__(self) -> None:
        self._launcher: LocalLauncher | None = None
        self._is_asked = False

    def stop(self) -> None:
        """Ask the run for a checkpoint and its end."""
        self._is_asked = True
        if self._launcher is not None:
            self._launcher.stop()

    def work(
        self,
        function: JobFunction,
        job: Job,
        files: Mapping[str, bytes],
        text: bytes,
        weights: Mapping[str, bytes] | None = None,
    ) -> Iterator[Any]:
        """Yields lists of pieces, events, and last the end."""
        with make_work_folder() as folder:
            run_dir = folder / "runs" / job.run_id
            unpack_run(run_dir, files)
            write_new(folder / "text.txt", text, folder)
            moved = replace(job, run_dir=str(run_dir), corpus=str(folder / "text.txt"))
            if weights is not None and job.init_from is not None:
                place = folder / "weights" / label_folder(job.init_from)
                make_folder(place, folder)
                for name, data in weights.items():
                    write_new(place / name, data, folder)
                moved = replace(moved, init_from=str(place))
            watcher, told = Watcher.of(run_dir, files), queue.SimpleQueue[Any]()
            threading.Thread(target=self._carry_out, args=(function, moved, told.put), daemon=True).start()
            news: Any = None
            while not isinstance(news, JobEnd):
                with contextlib.suppress(queue.Empty):
                    news = told.get(timeout=SYNC_S)
                # What a run says of itself is told after what it has written.
                if pieces := watcher.collect(at_end=isinstance(news, JobEnd)):
                    yield pieces
                if isinstance(news, JobEvent):
                    yield news.event
                    news = None
            yield replace(news, job=None)

    def _carry_out(self, function: JobFunction, job: Job, tell: Any) -> None:
        try:
            self._launcher = LocalLauncher(1)
            if self._is_asked:
                self._launcher.stop()
            end = launch_one(self._launcher, function, job, tell)
        except Exception as error:  # whatever it is, home waits for an end
            end = JobEnd(job, error=f"{type(error).__name__}: {error}")
        tell(end)


@contextlib.contextmanager
def make_work_folder() -> Iterator[Path]:
    """A folder on a node's own disk. Those of processes that were killed are removed."""
    there = Path(tempfile.gettempdir())
    for entry in list_folder(there):
        owner = entry.name.removeprefix(WORK_FOLDER).partition("-")[0]
        if entry.name.startswith(WORK_FOLDER) and owner.isdigit() and not is_alive(int(owner)):
            with contextlib.suppress(OSError):
                remove_tree(there / entry.name)
    with tempfile.TemporaryDirectory(prefix=f"{WORK_FOLDER}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
