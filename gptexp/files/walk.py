"""From a trusted folder to a file below it, without following a link."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gptexp.files.errors import ForeignFile

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""A pipe that nobody writes to would block without O_NONBLOCK; a terminal must not become ours."""

_KINDS = {
    stat.S_IFLNK: "a link, and links are not followed here",
    stat.S_IFDIR: "a folder, not a file",
    stat.S_IFIFO: "a pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}


@contextlib.contextmanager
def open_parent(path: Path, within: Path | None = None, *, create: bool = False) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder that holds `path`, and the name of `path` in it.

    Args:
        create: make the folders that are missing, `within` and those above it too.

    Raises:
        ForeignFile: `path` leaves `within`, or one of the folders between them is a link or no folder.
        OSError: a folder is missing or can't be entered.
    """
    root = path.parent if within is None else within
    *folders, name = _split(path, root)
    if create:
        _make_root(root)
    descriptor = os.open(root, _FOLDER)
    try:
        for folder in folders:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, dir_fd=descriptor)
                    _sync(descriptor)
            try:
                below = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                    raise
                raise ForeignFile(f"its folder {folder} is a link or no folder", path) from None
            os.close(descriptor)
            descriptor = below
        yield descriptor, name
    finally:
        os.close(descriptor)


def _make_root(root: Path) -> None:
    """Make a folder and those that are missing above it, each so that it lasts through a loss of power."""
    missing = [root]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make what was made, renamed and deleted in `folder` last; a no-op where folders can't be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync(descriptor: int) -> None:
    """`sync_folder` of one that is open as a place alone, which can't be synced by itself."""
    with contextlib.suppress(OSError):
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def open_file(path: Path, within: Path | None = None, *, flags: int = os.O_RDONLY, parents: bool = False) -> int:
    """A descriptor of a regular file.

    Args:
        flags: of `os.open`. A file that O_CREAT makes gets what the umask leaves of 0666.
        parents: make the folders that are missing.

    Raises:
        ForeignFile: something else stands there, or on the way.
        OSError: it is missing, or can't be opened.
    """
    with open_parent(path, within, create=parents) as (folder, name):
        # Looked at before it is opened: opening alone acts on some devices.
        with contextlib.suppress(FileNotFoundError):
            _refuse_special(os.lstat(name, dir_fd=folder), path)
        descriptor = os.open(name, flags | _FILE, 0o666, dir_fd=folder)
    try:
        _refuse_special(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def open_path(path: Path, within: Path | None = None, *, sha256: str | None = None) -> Iterator[Path]:
    """A path for a library that opens by path: on Linux it leads to the very file that was looked at.

    Args:
        sha256: the checksum (hex) that the file has to have.

    Raises:
        ValueError: it has another checksum; others as `open_file`.
    """
    descriptor = open_file(path, within)
    try:
        if sha256 is not None:
            _check_digest(descriptor, path, sha256)
        by_descriptor = Path(f"/proc/self/fd/{descriptor}")
        yield by_descriptor if by_descriptor.exists() else path
    finally:
        os.close(descriptor)


def check_sha256(path: Path, expected: str, within: Path | None = None, *, limit: int | None = None) -> None:
    """Compare a file with its SHA-256 (hex).

    Args:
        limit: the bytes that it has at the most; None takes a file of any size.

    Raises:
        ValueError: it has another; others as `open_file`.
    """
    descriptor = open_file(path, within)
    try:
        if limit is not None and os.fstat(descriptor).st_size > limit:
            raise ForeignFile("it is larger than any of ours", path)
        _check_digest(descriptor, path, expected)
    finally:
        os.close(descriptor)


def _check_digest(descriptor: int, path: Path, expected: str) -> None:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(f"{path.name} has SHA-256 {found[:12]}, expected {str(expected)[:12]}")


def _split(path: Path, root: Path) -> tuple[str, ...]:
    """The parts of `path` below `root`, at least one."""
    try:
        parts = path.relative_to(root).parts
        for part in parts:
            os.fsencode(part)
    except ValueError:
        parts = ()
    if not parts or ".." in parts or any("\0" in part for part in parts):
        raise ForeignFile("it does not lie inside its folder", path)
    return parts


def _refuse_special(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ForeignFile(f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no file')}", path)
