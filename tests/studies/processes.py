"""The processes of a test, found by a mark in their environment: what is still there when nothing should be."""

from __future__ import annotations

import time
from pathlib import Path


def list_marked(mark: str, words: str = "") -> list[int]:
    """Ids of processes whose environment has `mark` and whose command line has `words`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if state != "Z" and mark.encode() in environment and words.encode() in command.replace(b"\0", b" "):
            found.append(int(folder.name))
    return found


def await_none(mark: str, words: str = "", seconds: float = 20.0) -> list[int]:
    """Wait until no such process is left; returns those that are still there."""
    until = time.monotonic() + seconds
    while (left := list_marked(mark, words)) and time.monotonic() < until:
        time.sleep(0.1)
    return left
