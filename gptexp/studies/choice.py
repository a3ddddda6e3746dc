"""A launcher as it was chosen: by its name, with settings of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gptexp.errors import GptexpError
from gptexp.names import LAUNCHERS
from gptexp.studies.launchers import Launcher


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
        return self._make(n_workers, **self.settings)

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
