"""The trackers that can be asked for by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gptexp.mirrors.protocol import TrackerSettings
from gptexp.registry import Registry

DEFAULT_TRACKERS = ("wandb",)
TRACKERS = Registry(
    "tracker",
    "gptexp.trackers",
    {
        "wandb": "gptexp.mirrors.wandb_settings:choose_settings",
        "trackio": "gptexp.mirrors.trackio:choose_settings",
    },
)
"""Name -> function of the command line's options that gives a tracker's settings, or None where they switch it off."""


def choose_trackers(names: Iterable[str], options: Mapping[str, Any]) -> tuple[TrackerSettings, ...]:
    """The trackers that were asked for, each once.

    Args:
        names: as asked for; none of them means the default.
        options: what the command line says of single trackers; each takes what is its own.

    Raises:
        GptexpError: an unknown name, or a tracker that can't work as it is asked to.
    """
    chosen = [TRACKERS.find(name)(options) for name in dict.fromkeys(names) or DEFAULT_TRACKERS]
    return tuple(settings for settings in chosen if settings is not None)
