"""`gptexp doctor --online` against a server that knows who is who."""

from __future__ import annotations

import pytest

from gptexp.cli import doctor_setup
from tests.loopback.server import LoopbackServer


def test_the_server_says_whose_key_it_is(wandb_server: LoopbackServer) -> None:
    """A key that the server takes is ok, and the account is named."""
    check = doctor_setup.check_server()
    assert (check.status, wandb_server.store.entity in check.detail) == ("ok", True)


def test_a_refused_key_is_a_problem(wandb_server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the server doesn't know is a problem with its way out, and isn't shown."""
    wrong = "f" * 40
    monkeypatch.setenv("WANDB_API_KEY", wrong)
    check = doctor_setup.check_server()
    assert check.status == "problem"
    assert "wandb login" in check.advice
    assert wrong not in check.detail + check.advice


def test_nobody_is_logged_in(wandb_server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key only the server's being there is told."""
    monkeypatch.delenv("WANDB_API_KEY")
    check = doctor_setup.check_server()
    assert (check.status, "nobody is logged in" in check.detail) == ("ok", True)
