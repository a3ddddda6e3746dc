"""Errors of files, and the sentences that explain them to the user."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from gptexp.errors import GptexpError


class DiskError(GptexpError):
    """A file could not be written: the disk is full, read-only or gone."""

    exit_status = 1


class ForeignFile(OSError):
    """A path holds something that gptexp would never write there. `strerror` says what it is."""

    def __init__(self, what: str, path: Path | str) -> None:
        super().__init__(errno.EINVAL, what, str(path))


DENIED = "permission denied; ask its owner to let you read it"
"""What `explain` says of a file that this user may not read. The file is not damaged."""


def explain(error: OSError) -> str:
    """Why a file can't be read, as a clause; for a denied permission it also says what to do."""
    if isinstance(error, PermissionError):
        return DENIED
    return str(error.strerror or error)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of a write into one sentence that names the path and says what to do.

    Raises:
        DiskError: in place of the OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"no space left on the disk for {path}; free some space and run the same command again"
        else:
            message = f"can't write {path}: {error.strerror or error}; fix that and run the same command again"
        raise DiskError(message) from None
