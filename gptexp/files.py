"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gptexp.errors import GptexpError

NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
"""Opening flag: a link in a stranger's folder must not lead a write out of it."""


class DiskError(GptexpError):
    """A file could not be written: the disk is full, read-only or gone."""

    exit_status = 1


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of a write into one sentence that names the place and the way out.

    Raises:
        DiskError: instead of the OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"no space left on the disk for {path}; free some space and run the same command again"
        else:
            message = f"can't write {path}: {error.strerror or error}; mend that and run the same command again"
        raise DiskError(message) from None


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write `data` to `path` so that a reader, or a machine that lost power, finds the old file or the new one.

    Raises:
        DiskError: the data could not be written; `path` is as it was.
    """
    raw = data.encode() if isinstance(data, str) else data
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` last; a no-op where folders can't be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
