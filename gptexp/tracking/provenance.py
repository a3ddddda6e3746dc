"""Who computed a run, with what, where."""

from __future__ import annotations

import datetime
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gptexp
from gptexp.machine import count_cores, describe_cpu
from gptexp.text import clean_text
from gptexp.training.device import describe_gpu


def describe_provenance(command: str) -> dict[str, Any]:
    """Git commit, library versions and hardware of this process. Nothing of the environment, no user or host name."""
    commit, dirty = describe_own_commit()
    return {
        "started_at": now(),
        "command": clean_text(command),
        "git_commit": commit,
        "git_dirty": dirty,
        "gptexp": gptexp.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numpy", "tiktoken", "wandb")},
        "cpu": describe_cpu(),
        "gpu": describe_gpu(),
        "cores": count_cores(),
        "host_os": platform.system(),
    }


def describe_own_commit() -> tuple[str | None, bool | None]:
    """The commit of the checkout that gptexp runs from; (None, None) where it was installed as a package."""
    package = Path(gptexp.__file__).resolve().parent
    # An environment inside somebody's repository is not tracked by it: that repository says nothing about gptexp.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    return describe_git(package)


def describe_git(folder: Path) -> tuple[str | None, bool | None]:
    """The commit checked out at `folder` and whether files differ from it; (None, None) outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None, None
    return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))


def now() -> str:
    """The time as ISO 8601 in UTC, with microseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return clean_text(done.stdout.decode(errors="replace")).strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
