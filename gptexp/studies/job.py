"""One run as plain data: what a worker is given, and what trackers are told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gptexp.mirrors.protocol import RunInfo
from gptexp.records import Record


@dataclass(frozen=True)
class Job:
    """All that a worker needs to carry out one run. Plain data: it crosses process boundaries."""

    run_id: str
    run_dir: str
    content: dict[str, Any]
    """The run's config.json."""
    corpus: str
    """What to load the corpus by: a name or a path."""
    command: str
    member: dict[str, Any]
    """The membership that asked for the run first, or an empty dict."""
    until_step: int | None = None
    """Stop after this step and leave the run resumable; None trains it whole."""
    replay: bool = False
    """Tell the trackers of the run even when it is done: another study has asked for it, which they should know."""


def describe_run(job: Job, provenance: dict[str, Any], earlier: Sequence[Record]) -> RunInfo:
    """What trackers are told when a run starts or goes on."""
    about = {key: value for key, value in job.content.items() if key not in ("run_id", "config")}
    return RunInfo(
        run_id=job.run_id,
        run_dir=job.run_dir,
        config=job.content["config"],
        about=about,
        provenance=provenance,
        member=job.member,
        from_step=int(provenance["from_step"]),
        earlier=tuple(earlier),
    )
