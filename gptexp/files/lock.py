"""A lock file that is a file, and folders that one process at a time changes."""

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
    """The lock whose file is `path`, not yet taken. The file is made where it is missing.

    Old versions of filelock follow a link and empty what it leads to: what stands there is looked at first.

    Raises:
        DiskError: a link, a folder or anything else than a file stands there, or the folder can't be written.
    """
    from filelock import FileLock

    with disk_errors(path):
        os.close(open_file(path, within, flags=os.O_RDWR | os.O_CREAT, parents=True))
    return FileLock(path)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """One process at a time changes what a folder holds; a no-op where folders can't be locked. Nothing is left there.

    Raises:
        OSError: there is no such folder, or it can't be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
