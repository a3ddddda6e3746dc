"""Reads files and lists folders, up to a size limit."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gptexp.files.errors import ForeignFile
from gptexp.files.walk import WALKS_BY_DESCRIPTOR, join_flags, open_file, open_in, open_parent

LARGEST_JSON = 64 * 2**20
"""Size limit in bytes of config, result, manifest and JSON lines files: far more than gptexp writes."""
LARGEST_LOG = 512 * 2**20
"""Size limit in bytes of a record log: about two million steps."""
LARGEST_PART = 256 * 2**20
"""Size limit in bytes of a file in a bundle or a pack."""
DEEPEST = 32
"""How many levels of nested folders `list_tree` accepts."""


@dataclass(frozen=True)
class Entry:
    """One entry of a folder."""

    name: str
    kind: str
    """file, folder, link or other (a pipe, a socket, a device)."""


def read_bytes(path: Path, within: Path | None = None, *, limit: int = LARGEST_JSON) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        ForeignFile: it is something else, or larger.
        OSError: it is missing, or can't be read.
    """
    return _read_all(open_file(path, within), path, limit)


def read_files(folder: Path, names: Sequence[str], within: Path) -> dict[str, bytes | OSError]:
    """`read_bytes` of several files of one folder, which is found once; of a file that can't be read, why not."""
    found: dict[str, bytes | OSError] = {}
    try:
        with open_parent(folder / "any", within) as (descriptor, _):
            for name in names:
                path = f"{folder}{os.sep}{name}"
                place = path if descriptor is None else name
                try:
                    found[name] = _read_all(open_in(descriptor, place, path), path, LARGEST_JSON)
                except OSError as error:
                    found[name] = error
    except OSError as error:
        return dict.fromkeys(names, error)
    return found


def _read_all(descriptor: int, path: Path | str, limit: int) -> bytes:
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        _refuse_huge(os.fstat(descriptor).st_size, limit, path)
        return file.read()


def read_user_file(path: Path, *, limit: int = LARGEST_JSON) -> bytes:
    """The content of a file that the user named on the command line. It may be a link, because the user chose it.

    Raises: as `read_bytes`.
    """
    try:
        resolved = path.resolve()
    except RuntimeError:
        raise ForeignFile("it is a link that leads to itself", path) from None
    return read_bytes(resolved, limit=limit)


def within_folder(path: Path, folder: Path) -> bool:
    """Whether `path` is `folder` or lies below it, links resolved; not where a link leads to itself."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except RuntimeError:
        return False


def size_of(path: Path, within: Path | None = None) -> int:
    """Bytes of a regular file.

    Raises: as `read_bytes`.
    """
    descriptor = open_file(path, within)
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def stamp_of(path: Path) -> tuple[int, int]:
    """Bytes of a file that the user named, and when it was last written in ns: changed content has another stamp.

    Raises: as `read_bytes`.
    """
    descriptor = open_file(path.resolve())
    try:
        found = os.fstat(descriptor)
        return found.st_size, found.st_mtime_ns
    finally:
        os.close(descriptor)


def exists(path: Path, within: Path | None = None) -> bool:
    """Whether anything exists at `path`, even a broken link."""
    return kind_of(path, within) is not None


def is_file(path: Path, within: Path | None = None) -> bool:
    """Whether `path` is a regular file and contains no link."""
    return kind_of(path, within) == "file"


def is_folder(path: Path, within: Path | None = None) -> bool:
    """Whether `path` is a folder and contains no link."""
    return kind_of(path, within) == "folder"


def kind_of(path: Path, within: Path | None = None) -> str | None:
    """The kind as in `Entry.kind`; None if nothing exists there or the path contains a link.

    Raises:
        PermissionError: this user may not look there.
    """
    try:
        with open_parent(path, within) as (folder, name):
            return _kind(os.lstat(name, dir_fd=folder).st_mode)
    except PermissionError:
        raise
    except OSError:
        return None


def list_folder(path: Path, within: Path | None = None) -> list[Entry]:
    """The entries of a folder, sorted by name; empty if the folder is missing.

    Args:
        within: if it equals `path`, the folder may be a link, because the user named it.

    Raises:
        ForeignFile: it is a link or not a folder; OSError: it can't be read.
    """
    try:
        with _open_folder(path, within) as folder, os.scandir(folder) as entries:
            found = [Entry(entry.name, _kind(entry.stat(follow_symlinks=False).st_mode)) for entry in entries]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda entry: entry.name)


@contextlib.contextmanager
def _open_folder(path: Path, within: Path | None) -> Iterator[int | str]:
    """What `os.scandir` lists: a descriptor, or without `WALKS_BY_DESCRIPTOR` a path. Raises: as `list_folder`."""
    flags = os.O_RDONLY | join_flags("O_DIRECTORY", "O_CLOEXEC")
    if within == path:
        place: int | str = os.open(path, flags) if WALKS_BY_DESCRIPTOR else str(path)
    else:
        with open_parent(path, within) as (parent, name):
            if (kind := _kind(os.lstat(name, dir_fd=parent).st_mode)) != "folder":
                link = "a link, and links are not followed here"
                raise ForeignFile(f"it is {link if kind == 'link' else 'not a folder'}", path)
            place = os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent) if WALKS_BY_DESCRIPTOR else name
    try:
        yield place
    finally:
        if isinstance(place, int):
            os.close(place)


def list_tree(path: Path, within: Path | None = None, *, deepest: int = DEEPEST) -> Iterator[tuple[Path, str]]:
    """Path and kind of everything below a folder, each folder before its content. Links are listed, not followed.

    Raises: as `list_folder`; also ForeignFile if folders are nested deeper than `deepest` levels.
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


def _refuse_huge(size: int, limit: int, path: Path | str) -> None:
    if size > limit:
        raise ForeignFile(
            f"it has {size / 2**20:,.0f} MiB; files of this kind may have at most {limit / 2**20:,.0f} MiB", path
        )
