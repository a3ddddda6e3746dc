"""Atomic deletion and replacement of whole folders: a killed process leaves no half-deleted or half-written folder."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path

from gptexp.files.read import exists, list_folder
from gptexp.files.walk import open_parent, sync_folder
from gptexp.files.write import remove_tree, rename

REMOVED = ".removed-"
"""Name prefix of a file or folder that is being deleted. Nothing reads it any more."""
_RENAME_EXCHANGE = 2
"""Source: https://man7.org/linux/man-pages/man2/rename.2.html"""


def remove_at_once(path: Path, within: Path | None = None) -> None:
    """Delete a file or folder atomically: if the process is killed, it is either complete or gone.

    It is renamed first and then deleted. `clear_removed` deletes what a killed process left of it.

    Raises:
        ForeignFile: the path contains a link; OSError: it can't be deleted.
    """
    if path.name.startswith(REMOVED):
        remove_tree(path, within)
        return
    aside = path.with_name(f"{REMOVED}{path.name}")
    try:
        # A killed process may have left something under this name.
        remove_tree(aside, within)
        rename(path, aside, within)
    except FileNotFoundError:
        return
    sync_folder(path.parent)
    remove_tree(aside, within)


def clear_removed(folder: Path, within: Path | None = None) -> None:
    """Delete what killed calls of `remove_at_once` left in `folder`; what can't be deleted stays.

    Args:
        within: as in the whole package; `folder` itself if that is the trusted one.
    """
    with contextlib.suppress(OSError):
        for entry in list_folder(folder, within):
            if entry.name.startswith(REMOVED):
                with contextlib.suppress(OSError):
                    remove_tree(folder / entry.name, within)


def replace_folder(fresh: Path, target: Path, within: Path | None = None) -> Path | None:
    """Move the finished folder `fresh` to `target` atomically, replacing the folder that is there, if any.

    The caller has synced all files and folders of `fresh`. Systems that can't exchange two folders need two renames.
    A process killed between them leaves no `target`; `recover_replaced` restores the old one.

    Returns:
        The path of the old folder, which the caller removes; None if `target` did not exist.

    Raises:
        ForeignFile: a path contains a link; OSError: it failed, and `target` is unchanged.
    """
    old = None
    if not exists(target, within):
        rename(fresh, target, within)
    elif exchange(fresh, target, within):
        old = fresh
    else:
        old = _aside(target)
        remove_tree(old, within)
        rename(target, old, within)
        try:
            rename(fresh, target, within)
        except OSError:
            rename(old, target, within)
            raise
    sync_folder(target.parent)
    return old


def put_in_place(fresh: Path, target: Path, within: Path | None = None) -> None:
    """Sync the finished folder `fresh`, move it to `target` as `replace_folder` does, and remove the old one.

    Raises: as `replace_folder`.
    """
    sync_folder(fresh)
    if (old := replace_folder(fresh, target, within)) is not None:
        remove_at_once(old, within)


def recover_replaced(target: Path, within: Path | None = None) -> None:
    """Undo a `replace_folder` that was killed between its two renames.

    Raises:
        OSError: the old folder can't be restored or removed.
    """
    aside = _aside(target)
    if not exists(aside, within):
        return
    if exists(target, within):
        remove_at_once(aside, within)
    else:
        rename(aside, target, within)
        sync_folder(target.parent)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}-old")


def exchange(one: Path, other: Path, within: Path | None = None) -> bool:
    """Swap the names of two files or folders atomically.

    Returns:
        False if the system can't do this; then nothing has changed.

    Raises:
        ForeignFile: a path contains a link; OSError: one of them is missing, or permission is denied.
    """
    renameat2 = _find_renameat2()
    if renameat2 is None:
        return False
    with open_parent(one, within) as (one_folder, one_name), open_parent(other, within) as (folder, name):
        if one_folder is None or folder is None:
            return False
        if renameat2(one_folder, os.fsencode(one_name), folder, os.fsencode(name), _RENAME_EXCHANGE) == 0:
            return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        # Old kernels and some network file systems don't support it.
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


@functools.cache
def _find_renameat2() -> Callable[..., int] | None:
    """The C library's `renameat2`; None if it has none."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        # Windows has no library of that name, and a TypeError for it.
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function
