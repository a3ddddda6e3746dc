"""Tells a folder of packed records from one of run folders: records can be read from both, runs live in one."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gptexp.errors import GptexpError
from gptexp.files import exists

PACKED = "runs.json"
PACKED_STEPS = "steps.parquet"
"""The files that make a folder one of packed records: one that lost either is a damaged one."""


def is_packed(path: Path) -> bool:
    """Whether a folder holds packed records (`gptexp.runs.packed`) instead of run folders."""
    with contextlib.suppress(PermissionError):
        return any(exists(path / name) for name in (PACKED, PACKED_STEPS))
    return False


def check_takes_runs(runs_dir: Path) -> None:
    """Refuse to train where nobody would find the runs: beside packed records, run folders are not read.

    Raises:
        GptexpError: the folder holds packed records.
    """
    if is_packed(runs_dir):
        raise GptexpError(
            f"{runs_dir} holds packed records, to which no run can be trained; name another folder with --runs-dir "
            f"(gptexp runs pack --add adds its runs to these)"
        )
