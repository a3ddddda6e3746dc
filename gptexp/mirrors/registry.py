"""The trackers that can be asked for by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gptexp.mirrors.protocol import TrackerSettings
from gptexp.names import TRACKERS

DEFAULT_TRACKERS = ("wandb",)


def choose_trackers(names: Iterable[str], options: Mapping[str, Any]) -> tuple[TrackerSettings, ...]:
    """The trackers that were asked for, each once.

    Args:
        names: as asked for; none of them means the default.
        options: what the command line says of single trackers; each takes what is its own.

    Raises:
        GptexpError: an unknown name, or a tracker that can't work as it is asked to.
    """
    chosen = [TRACKERS.make(name, options) for name in dict.fromkeys(names) or DEFAULT_TRACKERS]
    return tuple(settings for settings in chosen if settings is not None)
