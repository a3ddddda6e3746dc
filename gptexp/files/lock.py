"""Locks: a lock file opened safely, and a lock on a folder so that one process at a time changes it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptexp.files.errors import disk_errors
from gptexp.files.walk import open_file

if TYPE_CHECKING:
    from filelock import BaseFileLock

fcntl: Any
try:
    import fcntl
except ImportError:
    # Windows can't lock folders; locks of files are filelock's there.
    fcntl = None


def lock_file(path: Path, within: Path | None = None) -> BaseFileLock:
    """A lock, not yet acquired, whose lock file is `path`. The file is created if it is missing.

    Old versions of filelock follow a link and truncate its target, so the path is checked first.

    Raises:
        DiskError: `path` is a link, a folder or another non-file, or the folder can't be written.
    """
    from filelock import FileLock

    with disk_errors(path):
        os.close(open_file(path, within, flags=os.O_RDWR | os.O_CREAT, parents=True))
    return FileLock(path)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a folder. Leaves no lock file. Does nothing where folders can't be locked.

    Raises:
        OSError: the folder is missing or can't be opened.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def hold_folder(folder: Path) -> int | None:
    """A descriptor that holds the lock of a folder until it is closed; None where another process does, or none can."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
