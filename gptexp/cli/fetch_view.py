"""Shows the progress of reading from W&B: a progress bar on a terminal, otherwise only the waits."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from gptexp.text import visible


class FetchView:
    """A context manager around the reading. The bar disappears at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> FetchView:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_listed(self, n_runs: int) -> None:
        self._show("runs listed", n_runs, None)

    def on_rows(self, run_id: str, done: int, of: int) -> None:
        self._show(f"run {run_id}, rows", done, max(of, done))

    def on_wait(self, seconds: float, reason: str) -> None:
        self._console.print(f"W&B: {reason}; trying again in {seconds:g} s")

    def _show(self, what: str, done: int, of: int | None) -> None:
        if what not in self._tasks:
            for task in self._tasks.values():
                self._progress.remove_task(task)
            self._tasks = {what: self._progress.add_task(visible(what), total=of)}
        self._progress.update(self._tasks[what], completed=done, total=of)
