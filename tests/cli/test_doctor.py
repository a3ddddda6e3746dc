from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from gptexp.cli import doctor_machine, doctor_setup
from gptexp.data import tokenizer
from tests.cli.conftest import Call

NAMES = ["python", "torch", "device", "precision", "cores", "memory", "tokenizer", "corpus", "cache", "disk", "wandb"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A look-up outside this machine fails the test; the netrc file and the data folder are of the test."""

    def refuse(*arguments: Any, **_: Any) -> Any:
        pytest.fail(f"the network was used: {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("GPTEXP_DATA_DIR", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A W&B server on this machine that answers."""
    monkeypatch.undo()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()


def read_checks(call: Call, tmp_path: Path, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit status, and the checks by their name."""
    reply = call("doctor", "--runs-dir", str(tmp_path / "runs"), "--json", *options)
    return reply.status, {row["check"]: row for row in reply.json()}


def test_a_sound_machine_has_no_problem(call: Call, tmp_path: Path) -> None:
    """Every check is there, nothing is a problem, the status is 0, and no folder was made and no network used."""
    status, checks = read_checks(call, tmp_path)
    assert [*checks] == [*NAMES, "studies", "git"]
    assert status == 0, checks
    assert {row["status"] for row in checks.values()} <= {"ok", "note"}
    assert not (tmp_path / "runs").exists()
    table = call("doctor", "--runs-dir", str(tmp_path / "runs"))
    assert table.out.splitlines()[0].split()[:2] == ["ok", "python"]
    assert table.out.rstrip().endswith("No problems.")


def test_a_problem_makes_the_status_1_and_stops_no_other_check(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spoilt merge ranks are a problem with advice; the checks after it still run."""
    tokenizer.load_gpt2_tokenizer.cache_clear()
    monkeypatch.setattr(tokenizer, "RANKS_SHA256", "0" * 64)
    try:
        status, checks = read_checks(call, tmp_path)
    finally:
        tokenizer.load_gpt2_tokenizer.cache_clear()
    assert status == 1
    assert checks["tokenizer"]["status"] == "problem"
    assert "reinstall" in checks["tokenizer"]["detail"]
    assert checks["studies"]["status"] == "ok"


def test_a_check_that_breaks_is_a_problem_itself(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error in one check is shown as one line, not as a traceback."""

    def break_down() -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor_machine, "check_memory", break_down)
    status, checks = read_checks(call, tmp_path)
    assert status == 1
    assert "RuntimeError: no such thing" in checks["memory"]["detail"]


def test_the_corpus_is_looked_for_without_a_download(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TinyShakespeare missing is a note that says what happens instead; another file in its place is a problem."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    _, checks = read_checks(call, tmp_path)
    assert checks["corpus"]["status"] == "note"
    assert "python-docs" in checks["corpus"]["detail"]
    monkeypatch.setenv("GPTEXP_DATA_DIR", str(tmp_path))
    (tmp_path / "tinyshakespeare.txt").write_text("To be or not to be")
    status, checks = read_checks(call, tmp_path)
    assert (status, checks["corpus"]["status"]) == (1, "problem")
    assert "is not TinyShakespeare" in checks["corpus"]["detail"]


def test_a_data_folder_that_is_none_is_named(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped GPTEXP_DATA_DIR is pointed out, because nothing else would."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GPTEXP_DATA_DIR", str(tmp_path / "missing"))
    assert "which is not a folder" in read_checks(call, tmp_path)[1]["corpus"]["advice"]


def test_folders_that_cannot_be_written_are_problems(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache below a file, and a full disk under the runs, are problems with a way out."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    status, checks = read_checks(call, tmp_path)
    assert status == 1
    assert (checks["cache"]["status"], checks["disk"]["status"]) == ("problem", "problem")
    assert "GPTEXP_CACHE_DIR" in checks["cache"]["advice"]


def test_the_key_is_never_shown(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged in, the mode is online, and neither the table nor the JSON holds the key."""
    key = "0123456789abcdef" * 2 + "01234567"
    monkeypatch.setenv("WANDB_API_KEY", key)
    _, checks = read_checks(call, tmp_path)
    assert "logged in; runs go online" in checks["wandb"]["detail"]
    for option in ([], ["--json"]):
        reply = call("doctor", "--runs-dir", str(tmp_path / "runs"), *option)
        assert key not in reply.out + reply.err


def test_online_without_a_login_is_a_problem(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WANDB_MODE=online can't be met by somebody who isn't logged in, and doctor says so before a run does."""
    monkeypatch.setenv("WANDB_MODE", "online")
    status, checks = read_checks(call, tmp_path)
    assert (status, checks["wandb"]["status"]) == (1, "problem")
    assert "wandb login" in checks["wandb"]["detail"]


def test_a_broken_study_is_a_problem(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study file that is no Python is named with its line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "broken.py").write_text("import 1\n")
    status, checks = read_checks(call, tmp_path)
    assert (status, checks["studies"]["status"]) == (1, "problem")
    assert "broken.py, line 1" in checks["studies"]["detail"]


def test_online_asks_the_server(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers is ok; one that doesn't is a note, and its password is not shown."""
    monkeypatch.setenv("WANDB_BASE_URL", server)
    assert doctor_setup.check_server().status == "ok"
    monkeypatch.setenv("WANDB_BASE_URL", "http://user:secret@127.0.0.1:9")
    check = doctor_setup.check_server()
    assert check.status == "note"
    assert "secret" not in check.detail + check.advice


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing is given up after the time limit."""
    monkeypatch.undo()
    monkeypatch.setattr(doctor_setup, "SERVER_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        check = doctor_setup.check_server()
    assert check.status == "note"
    assert "can't be reached" in check.detail
