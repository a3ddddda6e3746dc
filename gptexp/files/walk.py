"""Opens files below a trusted folder without following a link."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from gptexp.files.errors import ForeignFile

WALKS_BY_DESCRIPTOR = os.open in os.supports_dir_fd
"""Whether the system opens files below an open folder. Windows doesn't: there each folder is looked at before it is
used, and a link that is put in its place meanwhile is followed."""


def join_flags(*names: str) -> int:
    """Flags of `os.open` by their names; those that this system lacks are left out."""
    joined = 0
    for name in names:
        joined |= getattr(os, name, 0)
    return joined


_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | join_flags("O_DIRECTORY", "O_CLOEXEC")
_FILE = join_flags("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
"""O_NONBLOCK: opening a pipe without a writer would block. O_NOCTTY: a terminal must not become our controlling one.
O_BINARY: Windows would turn line feeds into two characters."""

JUNCTION = 0xA0000003
"""Source: https://learn.microsoft.com/windows/win32/fileio/reparse-point-tags, IO_REPARSE_TAG_MOUNT_POINT"""
_KINDS = {
    stat.S_IFLNK: "a link, and links are not followed here",
    stat.S_IFDIR: "a folder, not a file",
    stat.S_IFIFO: "a pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}


@contextlib.contextmanager
def open_parent(path: Path, within: Path | None = None, *, create: bool = False) -> Iterator[tuple[int | None, str]]:
    """A descriptor of the folder that holds `path`, and the name of `path` in it: what functions of `os` take as
    `dir_fd` and path. Without `WALKS_BY_DESCRIPTOR` None and the whole path, which they take in the same way.

    Args:
        create: create missing folders, including `within` and its parents.

    Raises:
        ForeignFile: `path` is outside `within`, or a folder between them is a link or not a folder.
        OSError: a folder is missing or can't be entered.
    """
    root = path.parent if within is None else within
    *folders, name = _split(path, root)
    if create:
        _make_root(root)
    if not WALKS_BY_DESCRIPTOR:
        yield None, str(_check_folders(root, folders, path, create=create) / name)
        return
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
                raise ForeignFile(f"its folder {folder} is a link or not a folder", path) from None
            os.close(descriptor)
            descriptor = below
        yield descriptor, name
    finally:
        os.close(descriptor)


def _check_folders(root: Path, folders: Sequence[str], path: Path, *, create: bool) -> Path:
    """The last of `folders` below `root`. Raises: as `open_parent`."""
    here = root
    if not stat.S_ISDIR(os.stat(root).st_mode):  # noqa: PTH116
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
    for folder in folders:
        here = here / folder
        if create:
            here.mkdir(exist_ok=True)
        found = os.lstat(here)
        # A junction of Windows is a folder that leads elsewhere.
        is_junction = getattr(found, "st_reparse_tag", 0) == JUNCTION
        if is_junction or not stat.S_ISDIR(found.st_mode):
            raise ForeignFile(f"its folder {folder} is a link or not a folder", path)
    return here


def _make_root(root: Path) -> None:
    """Create a folder and its missing parents, each synced so that it survives a power loss."""
    missing = [root]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk, so that creations, renames and deletions in it survive a power loss.

    Does nothing on systems that can't sync folders.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync(descriptor: int) -> None:
    """`sync_folder` for a descriptor opened with O_PATH, which fsync itself refuses."""
    with contextlib.suppress(OSError):
        folder = os.open(".", os.O_RDONLY | join_flags("O_DIRECTORY", "O_CLOEXEC"), dir_fd=descriptor)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def open_file(path: Path, within: Path | None = None, *, flags: int = os.O_RDONLY, parents: bool = False) -> int:
    """A descriptor of a regular file.

    Args:
        flags: of `os.open`. With O_CREAT a new file gets mode 0666 minus the umask.
        parents: create missing folders.

    Raises:
        ForeignFile: `path` is not a regular file, or contains a link.
        OSError: it is missing, or can't be opened.
    """
    with open_parent(path, within, create=parents) as (folder, name):
        return open_in(folder, name, path, flags)


def open_in(folder: int | None, name: str, path: Path | str, flags: int = os.O_RDONLY) -> int:
    """`open_file` for a file of a folder that is open already.

    Args:
        folder: its descriptor; without `WALKS_BY_DESCRIPTOR` None, and `name` is the whole path.
        path: the file's path, for messages.
    """
    # Check before opening: merely opening some devices has side effects.
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
    """A path for libraries that open files by path. On Linux it leads to exactly the file that was checked.

    Args:
        sha256: the expected checksum (hex).

    Raises:
        ValueError: the checksum differs; others as `open_file`.
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
    """Compare a file's SHA-256 with the expected one (hex).

    Args:
        limit: the largest accepted size in bytes; None accepts any size.

    Raises:
        ValueError: the checksum differs; ForeignFile: the file is too large; others as `open_file`.
    """
    descriptor = open_file(path, within)
    try:
        if limit is not None and os.fstat(descriptor).st_size > limit:
            raise ForeignFile("it is larger than any file that gptexp writes", path)
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
        parts = _list_parts(path, root)
        for part in parts:
            os.fsencode(part)
    except ValueError:
        parts = ()
    if not parts or ".." in parts or any("\0" in part for part in parts):
        raise ForeignFile("it does not lie inside its folder", path)
    return parts


def _list_parts(path: Path, root: Path) -> tuple[str, ...]:
    """`path.relative_to(root).parts`, in a third of the time where `root` is written at the beginning of `path`."""
    text, begin = str(path), f"{root}/"
    return tuple(text[len(begin) :].split("/")) if text.startswith(begin) else path.relative_to(root).parts


def _refuse_special(found: os.stat_result, path: Path | str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ForeignFile(f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'not a file')}", path)
