"""One run as plain data: what a worker is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptexp.mirrors.protocol import TrackerSettings
from gptexp.studies.launchers import Needs
from gptexp.studies.resolve import ResolvedRun
from gptexp.tracking.result import STOPPED, Result, got_to


@dataclass(frozen=True)
class Job:
    """All that a worker needs to carry out one run. Picklable: it crosses process boundaries."""

    run: ResolvedRun
    run_dir: str
    """Seen from the working directory of whoever asked, unless it is absolute."""
    corpus: str
    """What to load the corpus by: a name or a path."""
    command: str
    member: dict[str, Any]
    """The membership that asked for the run first, or an empty dict."""
    init_from: str | None = None
    """The folder with the weights that the run starts from; None where nobody named one."""
    until_step: int | None = None
    """Stop after this step and leave the run resumable; None trains it whole."""
    trackers: tuple[TrackerSettings, ...] = ()
    """Who is told of the run."""
    replay: bool = False
    """Tell them of the run even when it is done."""
    is_over: bool = False
    """Nothing is left to train, whatever its outcome: at most the trackers are told of it."""
    needs: Needs = field(default_factory=Needs)
    restarts: int = 1
    """How often it may begin again, from its last checkpoint, when its worker died."""

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def content(self) -> dict[str, Any]:
        """The run's config.json."""
        return self.run.content

    @property
    def name(self) -> str:
        """The run id."""
        return self.run_id

    @property
    def home(self) -> Path:
        """The folder of all runs."""
        return Path(self.run_dir).parent

    def needs_more(self, result: Result) -> bool:
        """Whether a job of this run that somebody else asked for was to stop at an earlier step than this one."""
        return result.outcome == STOPPED and not got_to(result, self.until_step)
