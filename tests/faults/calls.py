"""Kills a process at a chosen one of its calls that change the disk. For forked children only: nothing is undone."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

KILLED = 137
SLOW = ("torch._dynamo", "gptexp.runs.packed", "gptexp.cli.main", "gptexp.studies.sweep.worker")
"""Imported before there are children, so that none has to. The first is what torch imports for its first optimizer."""
NAMES = ("rename", "replace", "unlink", "remove", "rmdir", "mkdir", "fsync", "write", "ftruncate", "link", "symlink")
"""Of `os`. What is written through a file object shows at its fsync."""
Child = Callable[[], object]


class Counter:
    """Counts the calls, and ends the process before the one whose number is `kill_at`."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.seen: list[str] = []

    def install(self) -> None:
        """Put the counter in front of every call."""
        from gptexp.files import commit
        from gptexp.training import checkpoint

        for name in NAMES:
            setattr(os, name, self._wrap(name, getattr(os, name)))
        commit.exchange = self._wrap("exchange", commit.exchange)
        save = self._wrap("save_file", safetensors.torch.save_file)
        safetensors.torch.save_file = save
        if hasattr(checkpoint, "save_file"):
            checkpoint.save_file = save

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if name == "write" and arguments[0] in (0, 1, 2):
                return call(*arguments, **options)
            if len(self.seen) == self.kill_at:
                if name == "write":
                    # The cruellest moment of a write is its middle.
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os._exit(KILLED)
            self.seen.append(name)
            return call(*arguments, **options)

        return counted


def prepare_to_fork() -> None:
    """Import what is slow, and compute on one thread: a forked child has none of its parent's others."""
    for name in SLOW:
        importlib.import_module(name)
    torch.set_num_threads(1)


def run_child(child: Child, kill_at: int | None = None, *, count: bool = False) -> tuple[int, list[str], str]:
    """Run `child` in a forked process.

    Returns:
        Its exit status, the calls that it made (where they were to be counted), and what it said on stderr.
    """
    with tempfile.TemporaryDirectory() as scratch:
        calls, errors = Path(scratch) / "calls", Path(scratch) / "errors"
        number = os.fork()
        if number == 0:
            _live(child, kill_at, calls if count else None, errors)
        _, status = os.waitpid(number, 0)
        seen = calls.read_text().split() if calls.exists() else []
        return os.waitstatus_to_exitcode(status), seen, errors.read_text() if errors.exists() else ""


def _live(child: Child, kill_at: int | None, calls: Path | None, errors: Path) -> None:
    write_text, status = Path.write_text, 1
    counter = Counter(kill_at)
    try:
        with errors.open("w") as said:
            os.dup2(said.fileno(), 2)
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                if calls is not None or kill_at is not None:
                    counter.install()
                try:
                    child()
                    status = 0
                except SystemExit as ended:
                    status = ended.code if isinstance(ended.code, int) else 1
                except BaseException:
                    traceback.print_exc(file=said)
        if calls is not None:
            seen = " ".join(counter.seen)
            counter.kill_at = None
            write_text(calls, seen)
    finally:
        sys.stdout.flush()
        os._exit(status)
