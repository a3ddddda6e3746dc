"""The real `wandb.Api` against the loopback server, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from gptexp.runs.wandb_source import FetchedRuns, WandbQuery, fetch_runs
from tests.loopback.server import LoopbackServer
from tests.wandb.conftest import wandb_server
from tests.wandb_reading.project import ENTITY, PROJECT

__all__ = ["wandb_server"]


class SilentView:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.waits: list[tuple[float, str]] = []
        self.listed = 0
        self.rows: dict[str, tuple[int, int]] = {}

    def on_listed(self, n_runs: int) -> None:
        self.listed = n_runs

    def on_rows(self, run_id: str, done: int, of: int) -> None:
        self.rows[run_id] = (done, of)

    def on_wait(self, seconds: float, reason: str) -> None:
        self.waits.append((seconds, reason))


class Account:
    """Somebody who is logged in and reads the project, with a cache of their own."""

    def __init__(self, server: LoopbackServer) -> None:
        self.server = server
        self.view = SilentView()

    def fetch(self, **filters: tuple[str, ...]) -> FetchedRuns:
        """Read the project; `view` tells of this reading only, `server.store.calls` too."""
        self.view = SilentView()
        self.server.store.calls.clear()
        return fetch_runs(WandbQuery(ENTITY, PROJECT, **filters), self.view)

    def count_calls(self, name: str) -> int:
        return self.server.store.calls.count(name)


@pytest.fixture
def account(wandb_server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """A logged-in reader. The client keeps settings per process: it is torn down before and after."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    wandb.teardown()
    yield Account(wandb_server)
    wandb.teardown()
