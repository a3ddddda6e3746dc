"""What can be wrong with a file, and how that is said."""

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
    """What stands in a file's place is none that gptexp would have written. `strerror` says what it is."""

    def __init__(self, what: str, path: Path) -> None:
        super().__init__(errno.EINVAL, what, str(path))


DENIED = "permission denied; ask its owner to let you read it"
"""What `explain` says of a file that only others may read: nothing is wrong with it."""


def explain(error: OSError) -> str:
    """Why a file can't be had, as a clause; permission denied comes with the way out."""
    if isinstance(error, PermissionError):
        return DENIED
    return str(error.strerror or error)


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
