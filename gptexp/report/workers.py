"""The processes that make a large report together. Imports little: they are to start before anything slow is."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gptexp.files import is_file, list_folder, size_of
from gptexp.machine import count_cores
from gptexp.processes import Processes
from gptexp.tracking.packs import is_packed

MANY_RUNS = 200
"""From this many run folders on processes pay for their start: each takes two seconds to import what it needs."""
MANY_STEPS_BYTES = 2**23
"""The same of packed records: the size of their steps."""
MOST_PROCESSES = 4
"""More gain little: what only one can do takes a quarter of the time. Each holds 350 MB."""


def start_processes(runs_dir: Path) -> Processes:
    """As many as a report over `runs_dir` gains from; a small one is made sooner than another process has started.

    They import what they need while their starter does the same: call it before importing `gptexp.report.build`.
    """
    return Processes(min(count_cores(), MOST_PROCESSES) if _is_large(runs_dir) else 1, wake=_wake_up)


def _is_large(runs_dir: Path) -> bool:
    """Judged before anything is read."""
    if is_packed(runs_dir):
        return is_file(steps := runs_dir / "steps.parquet") and size_of(steps) >= MANY_STEPS_BYTES
    with contextlib.suppress(OSError):
        return len(list_folder(runs_dir, runs_dir)) >= MANY_RUNS
    return False


def _wake_up() -> None:
    import gptexp.report.make  # noqa: F401
