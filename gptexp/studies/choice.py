"""A launcher as it was chosen: by its name, with settings of its own."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from gptexp.errors import GptexpError
from gptexp.names import LAUNCHERS
from gptexp.studies.launchers import JobContext, JobFunction, Launcher, launch_one


@dataclass(frozen=True)
class LauncherChoice:
    """What makes a launcher. Picklable."""

    name: str
    settings: Mapping[str, Any]
    """Keyword arguments that the launcher is made with."""

    @property
    def _make(self) -> Callable[..., Launcher]:
        return LAUNCHERS.find(self.name)

    def __call__(self, n_workers: int) -> Launcher:
        """The launcher, of so many jobs at once.

        Raises:
            GptexpError: what it needs isn't installed.
        """
        return cast("Launcher", LAUNCHERS.make(self.name, n_workers, **self.settings))

    @contextlib.contextmanager
    def on_one_cluster(self) -> Iterator[LauncherChoice]:
        """Within this context several launchers, of other processes too, work on one cluster, if it is one of those.

        Yields:
            The choice for those launchers.
        """
        open_cluster = getattr(self._make, "open_cluster", None)
        if open_cluster is None:
            yield self
            return
        with open_cluster(self.settings.get("address")) as address:
            yield replace(self, settings={**self.settings, "address": address})

    @property
    def gpus_per_run(self) -> float | None:
        """GPUs, or the share of one, that each run was promised; None where nothing was said."""
        found: float | None = self.settings.get("gpus_per_run")
        return found

    @property
    def shares_disk(self) -> bool:
        """Whether its workers see the disk of this process."""
        return bool(getattr(self._make, "shares_disk", True))

    @property
    def is_elsewhere(self) -> bool:
        """Whether its work is done on other machines."""
        return bool(getattr(self._make, "is_elsewhere", False))


def choose_launcher(name: str, settings: Mapping[str, Any]) -> LauncherChoice:
    """A launcher with its settings.

    Raises:
        GptexpError: there is none of that name, or it has no such setting.
    """
    known = inspect.signature(LAUNCHERS.find(name)).parameters
    for setting in settings:
        if setting not in known:
            raise GptexpError(
                f"--{setting.replace('_', '-')} is no setting of --launcher {name}; leave it out, or name the launcher "
                f"that it belongs to"
            )
    return LauncherChoice(name, settings)


STOP_POLL_S = 0.5


def carry_out_one(choice: LauncherChoice, function: JobFunction, job: Any, context: JobContext) -> Any:
    """`function(job, context)`, by a launcher: what a worker does whose work is done on another disk.

    Raises:
        GptexpError: the job ended without a result.
    """
    launcher, is_over = choice(1), threading.Event()

    def pass_on_stop() -> None:
        while not is_over.wait(STOP_POLL_S):
            if context.should_stop():
                launcher.stop()
                return

    threading.Thread(target=pass_on_stop, daemon=True).start()
    try:
        end = launch_one(launcher, function, job, lambda news: context.emit(news.event))
    finally:
        is_over.set()
    if end.error is not None:
        raise GptexpError(end.error)
    return end.result
