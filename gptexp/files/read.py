"""Reading and listing, up to a limit."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gptexp.files.errors import ForeignFile
from gptexp.files.walk import open_file, open_parent

LARGEST_JSON = 64 * 2**20
"""Bytes of a config, a result, a manifest, a file of lines: far more than any of ours has."""
LARGEST_LOG = 512 * 2**20
"""Bytes of a record log: two million steps."""
LARGEST_PART = 256 * 2**20
"""Bytes of a file of a bundle or a pack."""
DEEPEST = 32
"""Levels of folders below one that is listed with all below it."""


@dataclass(frozen=True)
class Entry:
    """What a folder holds under one name."""

    name: str
    kind: str
    """file, folder, link or other (a pipe, a socket, a device)."""


def read_bytes(path: Path, within: Path | None = None, *, limit: int = LARGEST_JSON) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        ForeignFile: it is something else, or larger.
        OSError: it is missing, or can't be read.
    """
    with os.fdopen(open_file(path, within), "rb", buffering=0) as file:
        _refuse_huge(os.fstat(file.fileno()).st_size, limit, path)
        return file.read()


def read_user_file(path: Path, *, limit: int = LARGEST_JSON) -> bytes:
    """The content of a file that the user named for this command. It may be a link: that is theirs to say.

    Raises: as `read_bytes`.
    """
    try:
        resolved = path.resolve()
    except RuntimeError:
        raise ForeignFile("it is a link that leads to itself", path) from None
    return read_bytes(resolved, limit=limit)


def size_of(path: Path, within: Path | None = None) -> int:
    """Bytes of a regular file.

    Raises: as `read_bytes`.
    """
    descriptor = open_file(path, within)
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def exists(path: Path, within: Path | None = None) -> bool:
    """Whether anything stands there, be it a link."""
    return kind_of(path, within) is not None


def is_file(path: Path, within: Path | None = None) -> bool:
    """Whether a regular file stands there, and no link is on the way."""
    return kind_of(path, within) == "file"


def is_folder(path: Path, within: Path | None = None) -> bool:
    """Whether a folder stands there, and no link is on the way."""
    return kind_of(path, within) == "folder"


def kind_of(path: Path, within: Path | None = None) -> str | None:
    """The kind of an `Entry`; None where nothing is, or nothing of ours could be.

    Raises:
        PermissionError: who asks may not look.
    """
    try:
        with open_parent(path, within) as (folder, name):
            return _kind(os.lstat(name, dir_fd=folder).st_mode)
    except PermissionError:
        raise
    except OSError:
        return None


def list_folder(path: Path, within: Path | None = None) -> list[Entry]:
    """What a folder holds, by name; nothing where it is missing.

    Args:
        within: where it is `path` itself, the folder may be a link: the user named it.

    Raises:
        ForeignFile: it is a link or no folder; OSError: it can't be read.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        if within == path:
            descriptor = os.open(path, flags)
        else:
            with open_parent(path, within) as (parent, name):
                if (kind := _kind(os.lstat(name, dir_fd=parent).st_mode)) != "folder":
                    link = "a link, and links are not followed here"
                    raise ForeignFile(f"it is {link if kind == 'link' else 'no folder'}", path)
                descriptor = os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        return []
    try:
        with os.scandir(descriptor) as entries:
            found = [Entry(entry.name, _kind(entry.stat(follow_symlinks=False).st_mode)) for entry in entries]
    finally:
        os.close(descriptor)
    return sorted(found, key=lambda entry: entry.name)


def list_tree(path: Path, within: Path | None = None, *, deepest: int = DEEPEST) -> Iterator[tuple[Path, str]]:
    """Everything below a folder with its kind, a folder before what it holds. Links are listed, not followed.

    Raises: as `list_folder`; ForeignFile, too, where folders are nested deeper than `deepest`.
    """
    root = path.parent if within is None else within
    for entry in list_folder(path, root):
        below = path / entry.name
        yield below, entry.kind
        if entry.kind == "folder":
            if deepest == 0:
                raise ForeignFile("its folders are nested too deeply", below)
            yield from list_tree(below, root, deepest=deepest - 1)


def _kind(mode: int) -> str:
    return {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}.get(stat.S_IFMT(mode), "other")


def _refuse_huge(size: int, limit: int, path: Path) -> None:
    if size > limit:
        raise ForeignFile(
            f"it has {size / 2**20:,.0f} MiB, and {limit / 2**20:,.0f} are the most for such a file", path
        )
