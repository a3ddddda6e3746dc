"""Locks: a lock file opened safely, and a lock on a folder so that one process at a time changes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gptexp.files.errors import disk_errors
from gptexp.files.walk import open_file

if TYPE_CHECKING:
    from filelock import BaseFileLock


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
    """Hold an exclusive lock on a folder. Leaves no lock file. Does nothing on file systems that can't lock folders.

    Raises:
        OSError: the folder is missing or can't be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
