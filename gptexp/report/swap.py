"""Beside a report's folder: the one that will take its place, and what killed processes left there."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gptexp.errors import GptexpError
from gptexp.files import (
    REMOVED,
    alone_in,
    copy_entry,
    exists,
    hold_folder,
    list_folder,
    recover_replaced,
    remove_at_once,
    remove_tree,
    rename,
    sync_folder,
)

Foreign = Callable[[Path], Sequence[str]]
"""The files of a report's folder that are not the report's own."""


@contextlib.contextmanager
def hold_fresh(target: Path) -> Iterator[Path]:
    """An empty folder beside `target`, in which the new report is made; afterwards it is gone.

    It is locked while this process lives, so that another one can tell it from what a killed process left.
    """
    with alone_in(target.parent):
        fresh = target.parent / f".{target.name}-{secrets.token_hex(4)}"
        fresh.mkdir()
        descriptor = hold_folder(fresh)
    try:
        yield fresh
    finally:
        with contextlib.suppress(OSError):
            remove_tree(fresh)
        if descriptor is not None:
            os.close(descriptor)


def undo_killed(target: Path, list_foreign: Foreign) -> None:
    """Put a report back that a killed process had moved aside, and remove what it left half-made.

    Files of the user's in a report that was moved aside come back too, where none of their name stand now.

    Raises:
        OSError: the disk refused.
    """
    folder, name = target.parent, re.escape(target.name)
    with alone_in(folder):
        recover_replaced(target)
        for entry in list_folder(folder, folder):
            if entry.kind != "folder":
                continue
            path = folder / entry.name
            if re.fullmatch(rf"\.{name}-[a-z0-9_]{{8}}-old", entry.name) and not exists(target):
                # An older gptexp had moved it aside.
                rename(path, target)
                sync_folder(folder)
            elif re.fullmatch(rf"({re.escape(REMOVED)})?\.{name}-[a-z0-9_]{{8}}(-old)?", entry.name):
                _remove_dead(path, target, list_foreign)


def _remove_dead(path: Path, target: Path, list_foreign: Foreign) -> None:
    """Remove a folder that no living process holds, but for files of the user's that stand nowhere else."""
    descriptor = hold_folder(path)
    if descriptor is None:
        return
    try:
        with contextlib.suppress(GptexpError):
            for name in list_foreign(path):
                if not exists(target / name, target):
                    copy_entry(path / name, target / name, path, target)
        remove_at_once(path)
    finally:
        os.close(descriptor)
