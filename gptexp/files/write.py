"""Writes, renames and deletes files. A file is either complete or absent; nothing outside `within` is touched."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from pathlib import Path

from gptexp.files.errors import DiskError, ForeignFile, disk_errors
from gptexp.files.read import list_tree
from gptexp.files.walk import join_flags, open_file, open_parent, sync_folder


def write_atomic(path: Path, data: str | bytes, within: Path | None = None) -> None:
    """Write `data` to `path` atomically: a reader finds the old file or the new one, even after a power loss.

    If `path` is a link, the link is replaced, not followed. The file gets mode 0666 minus the umask.

    Raises:
        DiskError: the data could not be written; `path` is unchanged.
    """
    with disk_errors(path):
        replace_file(path, data, within)


def write_user_file(path: Path, data: str | bytes) -> None:
    """Write to an existing file that the user named, atomically: what a link leads to is replaced, the mode stays.

    Raises:
        DiskError: it is read-only, or could not be written; it is unchanged.
    """
    target = path.resolve()
    mode = stat.S_IMODE(target.stat().st_mode)
    if not mode & 0o222:
        raise DiskError(f"can't write {path}: it is read-only; make it writable (chmod u+w) and run the command again")
    with disk_errors(path):
        replace_file(target, data, mode=mode)


def replace_file(path: Path, data: str | bytes, within: Path | None = None, *, mode: int | None = None) -> None:
    """`write_atomic`, but raising the operating system's errors.

    Args:
        mode: permission bits of the file; None takes the usual ones.

    Raises:
        ForeignFile: the path contains a link; OSError: it could not be written.
    """
    with open_parent(path, within, create=True) as (folder, name):
        temporary = str(Path(name).with_name(f".{path.name}.{secrets.token_hex(4)}"))
        try:
            _write(os.open(temporary, _NEW, 0o666, dir_fd=folder), data, mode)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise
        sync_folder(path.parent)


def write_new(path: Path, data: str | bytes, within: Path | None = None) -> None:
    """Write `data` to a new file and sync it; missing folders are created.

    Raises:
        OSError: `path` already exists, or it can't be written.
    """
    with open_parent(path, within, create=True) as (folder, name):
        _write(os.open(name, _NEW, 0o666, dir_fd=folder), data)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | join_flags("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")


def _write(descriptor: int, data: str | bytes, mode: int | None = None) -> None:
    with os.fdopen(descriptor, "wb") as file:
        if mode is not None:
            set_mode(file.fileno(), mode)
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())


CUT_OFF = b" <- cut off: its process was killed"
"""Appended to a line that a killed process left incomplete."""


def append_bytes(path: Path, line: bytes, within: Path | None = None) -> None:
    """Append a line in a single write and sync it; the file and missing folders are created.

    If a killed process left the last line incomplete, that line is first marked with `CUT_OFF` and ended. Otherwise the
    new line would be glued to it, or the incomplete line would later count as damage.

    Args:
        line: ends with a line feed.

    Raises:
        DiskError: it could not be written.
    """
    with disk_errors(path):
        descriptor = open_file(path, within, flags=os.O_RDWR | os.O_CREAT | os.O_APPEND, parents=True)
        try:
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and _read_last(descriptor) != b"\n"
            os.write(descriptor, (CUT_OFF + b"\n") * is_torn + line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if size == 0:
            sync_folder(path.parent)


def _read_last(descriptor: int) -> bytes:
    """The last byte of a file that isn't empty."""
    os.lseek(descriptor, -1, os.SEEK_END)
    return os.read(descriptor, 1)


def copy_entry(path: Path, target: Path, within: Path, target_within: Path) -> None:
    """Hard-link a file to the new name `target`, or copy it where the file system has no hard links.

    A symbolic link is copied as a link. Permissions and times are kept.

    Raises:
        ForeignFile: `path` is neither a file nor a link; OSError: it can't be read or written, or `target` exists.
    """
    with (
        open_parent(path, within) as (folder, name),
        open_parent(target, target_within, create=True) as (new_folder, new_name),
    ):
        found = os.lstat(name, dir_fd=folder)
        if stat.S_ISREG(found.st_mode):
            with contextlib.suppress(OSError, NotImplementedError):
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
        set_mode(copy.fileno(), stat.S_IMODE(found.st_mode))
        times = (found.st_atime_ns, found.st_mtime_ns)
        if os.utime in os.supports_fd:
            os.utime(copy.fileno(), ns=times)


def set_mode(descriptor: int, mode: int) -> None:
    """Set the permission bits of an open file, where the system has such bits."""
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)


def make_folder(path: Path, within: Path | None = None) -> None:
    """Create a folder and its missing parents; an existing folder is fine.

    Raises:
        ForeignFile: the path contains a link or something that is not a folder; OSError: it can't be created.
    """
    with open_parent(path / "x", within or path.parent, create=True):
        pass


def usual_mode(folder: Path, within: Path | None = None) -> int:
    """The permission bits that a new file in `folder` gets. Some libraries create files for the owner only.

    Raises:
        OSError: the folder can't be written.
    """
    probe = folder / f".{secrets.token_hex(4)}.probe"
    descriptor = open_file(probe, within, flags=os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        remove_file(probe, within)


def rename(old: Path, new: Path, within: Path | None = None) -> None:
    """Rename a file or folder below the same `within`; an existing file `new` is replaced.

    Raises: as `os.replace`; ForeignFile if either path contains a link.
    """
    with open_parent(old, within) as (old_folder, old_name), open_parent(new, within) as (new_folder, new_name):
        os.replace(old_name, new_name, src_dir_fd=old_folder, dst_dir_fd=new_folder)


def remove_file(path: Path, within: Path | None = None) -> None:
    """Delete a file, or a link (not its target). A missing file is no error.

    Raises:
        ForeignFile: a folder of the path is a link; OSError: it can't be deleted.
    """
    with contextlib.suppress(FileNotFoundError), open_parent(path, within) as (folder, name):
        os.unlink(name, dir_fd=folder)


def remove_tree(path: Path, within: Path | None = None) -> None:
    """Delete a file, a link (not its target), or a folder with all its content. A missing path is no error.

    Raises:
        ForeignFile: a folder of the path is a link; OSError: something in it can't be deleted.
    """
    with contextlib.suppress(FileNotFoundError), open_parent(path, within) as (folder, name):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            os.unlink(name, dir_fd=folder)
            return
        try:
            # With dir_fd, rmtree works on descriptors and follows no links (shutil.rmtree.avoids_symlink_attacks).
            shutil.rmtree(name, dir_fd=folder)
        except RecursionError:
            raise ForeignFile("its folders are nested too deeply to be deleted", path) from None


def sync_tree(path: Path) -> None:
    """Sync the entries of a folder and of all folders below it. Files are already synced when they are written."""
    for below, kind in list_tree(path, path):
        if kind == "folder":
            sync_folder(below)
    sync_folder(path)
