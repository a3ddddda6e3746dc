"""Which commit records name, and what doctor says of it: the same thing, whatever is the matter with git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gptexp.cli import doctor_setup
from gptexp.cli.doctor_machine import Check
from gptexp.tracking import own_commit, provenance
from gptexp.tracking.own_commit import OwnCommit, find_own_commit


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with gptexp's code in it, and nothing committed. What is found there is what doctor sees."""
    package = tmp_path / "checkout" / "gptexp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""gptexp."""\n')
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    for module in (own_commit, provenance):
        monkeypatch.setattr(module, "find_own_commit", lambda: find_own_commit(package))
    return package.parent


def agree(folder: Path) -> tuple[OwnCommit, Check]:
    """What is found, having checked that records and doctor say so."""
    found = find_own_commit(folder / "gptexp")
    recorded = provenance.describe_provenance("test")
    assert (recorded["git_commit"], recorded["git_dirty"]) == (found.commit, found.dirty)
    check = doctor_setup.check_git()
    assert (found.commit is None) == ("no commit" in check.detail)
    assert found.why in check.detail
    return found, check


def test_a_repository_without_commits(checkout: Path) -> None:
    """Staged and not committed: no commit; and after the advice was followed, one."""
    found, check = agree(checkout)
    assert (found.commit, check.status) == (None, "note")
    assert "has no commit yet" in check.detail
    git(checkout, "commit", "-qm", "first")
    found, check = agree(checkout)
    assert found == OwnCommit(git(checkout, "rev-parse", "HEAD"), False)
    assert check.status == "ok"
    (checkout / "gptexp" / "__init__.py").write_text("changed")
    found, check = agree(checkout)
    assert (found.dirty, check.status) == (True, "note")


def test_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No git, or one in the folder that one stands in only, which is not run."""
    git(checkout, "commit", "-qm", "first")
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    fake.chmod(0o755)
    monkeypatch.chdir(fake.parent)
    for path in ("", ".", str(tmp_path)):
        monkeypatch.setenv("PATH", path)
        found, check = agree(checkout)
        assert (found.commit, found.why, check.status) == (None, "git is not installed", "note")
        assert "Install git" in check.advice
    assert not (tmp_path / "ran").exists()


def test_an_installed_package(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a repository, and inside somebody's that doesn't track it: no commit, and nothing to be done."""
    git(checkout, "commit", "-qm", "first")
    for place in (tmp_path / "site-packages", checkout / ".venv" / "lib"):
        (place / "gptexp").mkdir(parents=True)
        (place / "gptexp" / "__init__.py").write_text("")
        for module in (own_commit, provenance):
            monkeypatch.setattr(module, "find_own_commit", lambda place=place: find_own_commit(place / "gptexp"))
        monkeypatch.chdir(checkout)
        found, check = agree(place)
        assert (found.commit, check.status, check.advice) == (None, "ok", "")
        assert "installed" in check.detail


def test_a_repository_of_another_user(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git refuses it ("dubious ownership"); the advice, followed to the letter, mends it."""
    git(checkout, "commit", "-qm", "first")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("HOME", str(checkout.parent))
    found, check = agree(checkout)
    assert (found.commit, check.status) == (None, "note")
    assert "belongs to another user" in check.detail
    subprocess.run(check.advice.partition(": ")[2], shell=True, check=True)
    assert agree(checkout)[0].commit


def test_the_environment_of_a_hook(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by a hook of another repository, the commit is of gptexp's own."""
    git(checkout, "commit", "-qm", "first")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-qm", "other", "--allow-empty")
    expected = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert agree(checkout)[0] == OwnCommit(expected, False)


def test_a_repository_that_cannot_be_read(checkout: Path) -> None:
    """A damaged index or HEAD: said, and no commit made up."""
    git(checkout, "commit", "-qm", "first")
    (checkout / ".git" / "index").write_bytes(b"nonsense")
    found, check = agree(checkout)
    assert (found.commit, check.status) == (None, "note")
    assert "git can't read" in check.detail
