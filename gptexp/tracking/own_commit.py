"""Finds the git commit of gptexp's own code, or says why it is unknown."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import gptexp
from gptexp.text import clean_text

ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")
"""Variables that git sets for its hooks. With them, git would answer for another repository."""
TIMEOUT_S = 10


@dataclass(frozen=True)
class OwnCommit:
    """The version of the code that computed a run, as provenance records it."""

    commit: str | None
    """The full hash; None if it is unknown."""
    dirty: bool | None
    """Whether tracked files differ from the commit; None if that is unknown."""
    why: str = ""
    """Why something is unknown, as a clause."""
    advice: str = ""
    """What to do about it; empty if nothing needs to be done."""


def find_own_commit(package: Path | None = None) -> OwnCommit:
    """The commit of the git checkout that gptexp runs from.

    Args:
        package: the folder of gptexp's code; None for the folder of the running code.
    """
    package = package or Path(gptexp.__file__).resolve().parent
    top = next((folder for folder in package.parents if (folder / ".git").exists()), None)
    if top is None:
        return OwnCommit(None, None, "gptexp runs from an installed package or a copy, not from a checkout")
    git = _find_git()
    if git is None:
        advice = "Install git, so that records name the commit that they come from."
        return OwnCommit(None, None, "git is not installed", advice)
    tracked = _run(git, package, "ls-files", "--error-unmatch", "__init__.py")
    if isinstance(tracked, str):
        return _explain(tracked, top)
    if tracked.returncode:
        return _explain(tracked.stderr, top)
    head = _run(git, package, "rev-parse", "HEAD")
    if isinstance(head, str) or head.returncode:
        advice = "Commit once, so that records name the commit that they come from."
        return OwnCommit(None, None, f"the repository {top} has no commit yet", advice)
    status = _run(git, package, "status", "--porcelain", "--untracked-files=no")
    if isinstance(status, str) or status.returncode:
        said = status if isinstance(status, str) else status.stderr
        return OwnCommit(head.stdout.strip(), None, f"git can't say whether files differ from it ({_first(said)})")
    return OwnCommit(head.stdout.strip(), bool(status.stdout.strip()))


def _explain(said: str, top: Path) -> OwnCommit:
    """What git's error message `said` means."""
    if "dubious ownership" in said:
        advice = f"If you trust it: git config --global --add safe.directory {shlex.quote(str(top))}"
        return OwnCommit(None, None, f"git refuses {top}, because it belongs to another user", advice)
    if "did not match any file" in said:
        # A virtual environment inside some other repository, whose commit says nothing about gptexp.
        return OwnCommit(None, None, f"gptexp is installed inside the repository {top}, which doesn't track it")
    return OwnCommit(None, None, f"git can't read {top} ({_first(said)})", "Repair the repository.")


def _first(said: str) -> str:
    return next((clean_text(line).strip() for line in said.splitlines() if line.strip()), "no reason given")


def _find_git() -> str | None:
    """The path of git. Relative PATH entries are skipped: they would run a git from the current folder."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which("git", path=os.pathsep.join(entry for entry in entries if Path(entry).is_absolute()))


def _run(git: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str] | str:
    """Git's answer, or a text that says why there is none."""
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    # LC_ALL: messages in English. GIT_OPTIONAL_LOCKS: write nothing. core.fsmonitor: start no program that the
    # repository names.
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    command = [git, "-c", "core.fsmonitor=false", *arguments]
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {TIMEOUT_S} s"
    except OSError as error:
        return error.strerror or str(error)
