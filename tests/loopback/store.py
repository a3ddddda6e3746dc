"""What the stand-in service holds: projects' runs with their history, sweeps, artifacts, files, and offences."""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

Place = tuple[str, str, str]
"""(entity, project, name)."""


class Offence(Exception):
    """A request that the stand-in doesn't expect; the test that caused it fails."""


class Refusal(Exception):
    """A request that the stand-in was told to refuse."""


@dataclass
class StoredRun:
    """One run as the service knows it."""

    entity: str
    project: str
    name: str
    """Its id, as the client calls it."""
    config: dict[str, Any] = field(default_factory=dict)
    """Key -> {"value": ...}, and the client's own `_wandb`."""
    summary: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """History rows, `_step` and all, in the order of their offsets. NaN and infinities are strings."""
    events: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    display_name: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    sweep: str | None = None
    state: str = "running"
    """running, finished, failed, crashed or preempted."""
    preempting: bool = False
    """Whether a client announced that it may be stopped: if it doesn't end well, the run is preempted."""
    exit_code: int | None = None
    stop_requested: bool = False
    """Whether the service wants the run stopped."""
    starts: int = 0
    """How often a client opened the run."""
    created_at: float = field(default_factory=time.time)
    heartbeat_at: float = field(default_factory=time.time)

    @property
    def place(self) -> Place:
        return self.entity, self.project, self.name

    def settings(self) -> dict[str, Any]:
        """The config without its wrapping and without the client's own entry."""
        return {key: entry["value"] for key, entry in self.config.items() if key != "_wandb"}

    def add_rows(self, offset: int, lines: list[str]) -> None:
        """Take history lines that belong at `offset`.

        Lines that are here already may come again, as they do after a lost answer; they must be the same.

        Raises:
            Offence: a hole, another row at a taken place, or a `_step` that doesn't rise.
        """
        for place, line in enumerate(lines, start=offset):
            row = json.loads(line)
            if place < len(self.rows):
                if comparable(row) != comparable(self.rows[place]):
                    raise Offence(f"run {self.name}: row {place} comes again and differs: {line[:200]}")
                continue
            if place > len(self.rows):
                raise Offence(f"run {self.name}: row {place} comes after {len(self.rows)} rows")
            if self.rows and row["_step"] <= self.rows[-1]["_step"]:
                raise Offence(f"run {self.name}: _step {row['_step']} comes after {self.rows[-1]['_step']}")
            self.rows.append(row)


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the clock."""
    return {key: value for key, value in row.items() if key not in ("_timestamp", "_runtime")}


@dataclass
class StoredTrial:
    """One point of a sweep and what became of it."""

    args: dict[str, Any]
    run_id: str
    agent: str
    state: str = "running"
    """running, then the state of its run when the agent stops reporting it."""


@dataclass
class StoredSweep:
    entity: str
    project: str
    name: str
    config: str
    """The sweep file as YAML."""
    waiting: list[dict[str, Any]] = field(default_factory=list)
    """Points that nobody has taken yet."""
    trials: list[StoredTrial] = field(default_factory=list)
    state: str = "RUNNING"
    stop_requests: set[str] = field(default_factory=set)
    """Runs that the service wants stopped."""


@dataclass
class StoredAgent:
    name: str
    sweep: str
    host: str
    last_seen: float = field(default_factory=time.time)


@dataclass
class StoredArtifact:
    """A version of a collection."""

    id: str
    entity: str
    project: str
    type: str
    collection: str
    digest: str
    run: str | None
    aliases: list[str]
    metadata: str | None = None
    description: str | None = None
    state: str = "PENDING"
    manifest: dict[str, Any] = field(default_factory=dict)


@dataclass
class Store:
    """Everything. Handlers hold `lock` while they work."""

    entity: str = "tester"
    runs: dict[Place, StoredRun] = field(default_factory=dict)
    sweeps: dict[Place, StoredSweep] = field(default_factory=dict)
    agents: dict[str, StoredAgent] = field(default_factory=dict)
    artifacts: dict[str, StoredArtifact] = field(default_factory=dict)
    """By id."""
    uploads: dict[str, bytes] = field(default_factory=dict)
    """By the path of their upload address."""
    refuses_labels: bool = False
    """Whether a run with tags is refused, whatever they are."""
    offences: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """Names of the operations answered, in order."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    base_url: str = ""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def number(self) -> int:
        """A number that nobody had before."""
        return next(self._numbers)

    def find_run(self, entity: str | None, project: str | None, name: str) -> StoredRun:
        """Raises:
        Offence: there is no such run.
        """
        found = self.runs.get((entity or self.entity, project or "uncategorized", name))
        if found is None:
            raise Offence(f"there is no run {entity}/{project}/{name}")
        return found

    def run(self, name: str) -> StoredRun:
        """The only run of that id in all projects."""
        (found,) = [run for run in self.runs.values() if run.name == name]
        return found
