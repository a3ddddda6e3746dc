"""Provenance: which code, libraries and hardware computed a run."""

from __future__ import annotations

import datetime
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import gptexp
from gptexp.machine import count_cores, describe_cpu
from gptexp.text import clean_text
from gptexp.tracking.own_commit import find_own_commit
from gptexp.training.device import describe_gpu


def describe_provenance(command: str) -> dict[str, Any]:
    """Git commit, library versions and hardware of this process. No environment variables, user name or host name."""
    own = find_own_commit()
    return {
        "started_at": now(),
        "command": clean_text(command),
        "git_commit": own.commit,
        "git_dirty": own.dirty,
        "gptexp": gptexp.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numpy", "tiktoken", "wandb")},
        "cpu": describe_cpu(),
        "gpu": describe_gpu(),
        "cores": count_cores(),
        "host_os": platform.system(),
    }


def now() -> str:
    """The current time in UTC as ISO 8601 with microseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
