"""Deletes and replacements of whole folders that happen at one moment: killed in between, nothing is half there."""

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
"""How the name begins of what was removed and perhaps not yet deleted. Nobody reads it any more."""
_RENAME_EXCHANGE = 2
"""Source: https://man7.org/linux/man-pages/man2/rename.2.html"""


def remove_at_once(path: Path, within: Path | None = None) -> None:
    """Delete a file or folder so that it is there whole or not at all, whenever the process is killed.

    It is renamed away first; what a killed process leaves of it goes with `clear_removed`.

    Raises:
        ForeignFile: a link is on the way; OSError: it can't be deleted.
    """
    if path.name.startswith(REMOVED):
        remove_tree(path, within)
        return
    aside = path.with_name(f"{REMOVED}{path.name}")
    try:
        # What an earlier process left under that name would be in the way.
        remove_tree(aside, within)
        rename(path, aside, within)
    except FileNotFoundError:
        return
    sync_folder(path.parent)
    remove_tree(aside, within)


def clear_removed(folder: Path, within: Path | None = None) -> None:
    """Delete what killed processes left of what they removed in `folder`; what can't be deleted stays.

    Args:
        within: as everywhere; the folder itself where it is the trusted one.
    """
    with contextlib.suppress(OSError):
        for entry in list_folder(folder, within):
            if entry.name.startswith(REMOVED):
                with contextlib.suppress(OSError):
                    remove_tree(folder / entry.name, within)


def replace_folder(fresh: Path, target: Path, within: Path | None = None) -> Path | None:
    """Put a finished folder in the place of another one, or where nothing stands, at one moment.

    `fresh` has to last already: its files and folders are synced. Where the system can't exchange two folders there is
    a moment without any: a process that is killed in it leaves the earlier one aside, and `recover_replaced` puts it
    back.

    Returns:
        Where that which stood there lies now, to be removed; None where nothing stood there.

    Raises:
        ForeignFile: a link is on the way; OSError: it can't be done, and `target` is as it was.
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


def recover_replaced(target: Path, within: Path | None = None) -> None:
    """Undo a `replace_folder` that was killed between its two renames.

    Raises:
        OSError: it can't be done.
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
    """Let two files or folders change their names at one moment; False where the system can't, and nothing was done.

    Raises:
        ForeignFile: a link is on the way; OSError: one of them is missing, or it is not allowed.
    """
    renameat2 = _find_renameat2()
    if renameat2 is None:
        return False
    with open_parent(one, within) as (one_folder, one_name), open_parent(other, within) as (folder, name):
        if renameat2(one_folder, os.fsencode(one_name), folder, os.fsencode(name), _RENAME_EXCHANGE) == 0:
            return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        # An older kernel, or a file system (some of the network) without it.
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


@functools.cache
def _find_renameat2() -> Callable[..., int] | None:
    """The C library's function; None where it has none."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function
