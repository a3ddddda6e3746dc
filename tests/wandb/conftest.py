"""The real client against the loopback server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from tests.loopback.server import API_KEY, LoopbackServer


@pytest.fixture
def wandb_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A fresh server, an account on it, and a home of its own; subprocesses get the same. Offences fail the test."""
    home = tmp_path / "home"
    home.mkdir()
    # Neither this process nor its children may speak through a client that an earlier test left running.
    wandb.teardown()
    monkeypatch.delenv("WANDB_SERVICE", raising=False)
    with LoopbackServer() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", API_KEY)
        monkeypatch.setenv("HOME", str(home))
        for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_DIR"):
            monkeypatch.delenv(name, raising=False)
        yield server
        # The client keeps the address of the server that it spoke to first.
        wandb.teardown()
    assert server.store.offences == []
