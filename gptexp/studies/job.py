"""One run as plain data: what a worker is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gptexp.mirrors.protocol import TrackerSettings


@dataclass(frozen=True)
class Job:
    """All that a worker needs to carry out one run. Picklable: it crosses process boundaries."""

    run_id: str
    run_dir: str
    """Seen from the working directory of whoever asked, unless it is absolute."""
    content: dict[str, Any]
    """The run's config.json."""
    corpus: str
    """What to load the corpus by: a name or a path."""
    command: str
    member: dict[str, Any]
    """The membership that asked for the run first, or an empty dict."""
    until_step: int | None = None
    """Stop after this step and leave the run resumable; None trains it whole."""
    trackers: tuple[TrackerSettings, ...] = ()
    """Who is told of the run."""
    replay: bool = False
    """Tell them of the run even when it is done."""
