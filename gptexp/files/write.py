"""Writing, renaming and deleting: files are either whole or not there, and nothing outside is touched."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from pathlib import Path

from gptexp.files.errors import ForeignFile, disk_errors
from gptexp.files.read import list_tree
from gptexp.files.walk import open_file, open_parent, sync_folder


def write_atomic(path: Path, data: str | bytes, within: Path | None = None) -> None:
    """Write `data` to `path` so that a reader, or a machine that lost power, finds the old file or the new one.

    A link that stands there is replaced, not followed. The file gets what the umask leaves of 0666.

    Raises:
        DiskError: the data could not be written; `path` is as it was.
    """
    with disk_errors(path):
        replace_file(path, data, within)


def replace_file(path: Path, data: str | bytes, within: Path | None = None) -> None:
    """`write_atomic`, raising the system's own errors.

    Raises:
        ForeignFile: a link is on the way; OSError: it could not be written.
    """
    with open_parent(path, within, create=True) as (folder, name):
        temporary = f".{name}.{secrets.token_hex(4)}"
        try:
            _write(os.open(temporary, _NEW, 0o666, dir_fd=folder), data)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise
        sync_folder(path.parent)


def write_new(path: Path, data: str | bytes, within: Path | None = None) -> None:
    """Write `data` to `path`, where nothing stands yet, and make it last; missing folders are made.

    Raises:
        OSError: something stands there, or it can't be written.
    """
    with open_parent(path, within, create=True) as (folder, name):
        _write(os.open(name, _NEW, 0o666, dir_fd=folder), data)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _write(descriptor: int, data: str | bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())


CUT_OFF = b" <- cut off: its process was killed"
"""How a line ends that was not written to its end."""


def append_bytes(path: Path, line: bytes, within: Path | None = None) -> None:
    """Append a line, its line feed included, in a single write, and make it last; missing folders and the file are
    made.

    A last line that a killed process left half-written is ended first, and marked: it must not take the new one with
    it, nor pass for damage.

    Raises:
        DiskError: it could not be written.
    """
    with disk_errors(path):
        descriptor = open_file(path, within, flags=os.O_RDWR | os.O_CREAT | os.O_APPEND, parents=True)
        try:
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, (CUT_OFF + b"\n") * is_torn + line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if size == 0:
            sync_folder(path.parent)


def copy_entry(path: Path, target: Path, within: Path, target_within: Path) -> None:
    """Give a file or link a second name where nothing stands yet; where the disk knows no second names, a copy.

    A link stays a link. Permissions and times stay, too.

    Raises:
        ForeignFile: it is something else; OSError: it can't be read or written.
    """
    with (
        open_parent(path, within) as (folder, name),
        open_parent(target, target_within, create=True) as (new_folder, new_name),
    ):
        found = os.lstat(name, dir_fd=folder)
        if stat.S_ISREG(found.st_mode):
            with contextlib.suppress(OSError):
                os.link(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder, follow_symlinks=False)
                return
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=folder), new_name, dir_fd=new_folder)
            return
        descriptor = os.open(new_name, _NEW, 0o666, dir_fd=new_folder)
    with os.fdopen(descriptor, "wb") as copy:
        with os.fdopen(open_file(path, within), "rb") as file:
            shutil.copyfileobj(file, copy)
        copy.flush()
        os.fsync(copy.fileno())
        os.fchmod(copy.fileno(), stat.S_IMODE(found.st_mode))
        os.utime(copy.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))


def make_folder(path: Path, within: Path | None = None) -> None:
    """Make a folder and those that are missing above it.

    Raises:
        ForeignFile: a link or no folder stands there; OSError: it can't be made.
    """
    with open_parent(path / "x", within or path.parent, create=True):
        pass


def usual_mode(folder: Path, within: Path | None = None) -> int:
    """The permissions that a file which is made in `folder` gets: for libraries that keep theirs to the owner.

    Raises:
        OSError: nothing can be written there.
    """
    probe = folder / f".{secrets.token_hex(4)}.probe"
    descriptor = open_file(probe, within, flags=os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        remove_file(probe, within)


def rename(old: Path, new: Path, within: Path | None = None) -> None:
    """Give a file or folder another name below the same `within`; a file of the new name is replaced.

    Raises: as `os.replace`; ForeignFile where a link is on the way to either.
    """
    with open_parent(old, within) as (old_folder, old_name), open_parent(new, within) as (new_folder, new_name):
        os.replace(old_name, new_name, src_dir_fd=old_folder, dst_dir_fd=new_folder)


def remove_file(path: Path, within: Path | None = None) -> None:
    """Delete a file, or a link itself; nothing where there is none.

    Raises:
        ForeignFile: a link is on the way; OSError: it can't be deleted.
    """
    with contextlib.suppress(FileNotFoundError), open_parent(path, within) as (folder, name):
        os.unlink(name, dir_fd=folder)


def remove_tree(path: Path, within: Path | None = None) -> None:
    """Delete a file, a folder with everything in it, or a link itself: what a link leads to stays.

    Raises:
        ForeignFile: a link is on the way; OSError: something of it can't be deleted.
    """
    with contextlib.suppress(FileNotFoundError), open_parent(path, within) as (folder, name):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            os.unlink(name, dir_fd=folder)
            return
        try:
            # By descriptors; it does not follow links (shutil.rmtree.avoids_symlink_attacks).
            shutil.rmtree(name, dir_fd=folder)
        except RecursionError:
            raise ForeignFile("its folders are nested too deeply to be deleted", path) from None


def sync_tree(path: Path) -> None:
    """Make the entries of a folder of ours and of all folders below it last; its files are synced when written."""
    for below, kind in list_tree(path, path):
        if kind == "folder":
            sync_folder(below)
    sync_folder(path)
