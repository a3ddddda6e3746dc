"""Writes a report's folder so that a half-written page never stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gptexp.errors import GptexpError
from gptexp.files import (
    LARGEST_PART,
    check_sha256,
    copy_entry,
    explain,
    list_tree,
    make_folder,
    read_bytes,
    remove_at_once,
    remove_tree,
    replace_folder,
    sync_tree,
    write_new,
)
from gptexp.report.swap import hold_fresh, undo_killed

MANIFEST = "manifest.json"


def write_bundle(out: Path, files: Mapping[str, str | bytes]) -> None:
    """Make `out` hold exactly `files` (relative path to content), at one moment and so that it lasts.

    Files in `out` that the last report did not write (a note, a screenshot) stay, and so does what was changed since.
    A process that is killed leaves the earlier report or the new one; what else it left goes when the next one is
    written.

    Raises:
        GptexpError: `out` is a file or a folder with other things in it, or can't be written.
    """
    # What `out` leads to is replaced, not a link that the user made.
    try:
        target = out.resolve()
    except RuntimeError:
        raise GptexpError(f"{out} is a link that leads to itself; choose another folder with --out") from None
    try:
        make_folder(target.parent)
        undo_killed(target, _list_foreign)
    except OSError as error:
        raise GptexpError(f"{out} can't be written ({explain(error)}); choose another folder with --out") from error
    foreign = _list_foreign(target)
    try:
        with hold_fresh(target) as fresh:
            for name, content in files.items():
                write_new(fresh / name, encode_content(content), fresh)
            kept = {name: _look_at(target / name) for name in foreign if name not in files}
            for name in kept:
                copy_entry(target / name, fresh / name, target, fresh)
            sync_tree(fresh)
            old = replace_folder(fresh, target)
            if old is not None:
                # What somebody wrote while this was written is in the old folder alone.
                late = [name for name in _list_foreign(old) if name not in files]
                _bring(old, target, [name for name in late if kept.get(name) != _look_at(old / name)])
                remove_at_once(old)
    except OSError as error:
        raise GptexpError(f"the report can't be written to {out} ({explain(error)}); is the disk full?") from error


def _look_at(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_mtime_ns, found.st_size


def _bring(old: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        remove_tree(target / name, target)
        copy_entry(old / name, target / name, old, target)


def encode_content(content: str | bytes) -> bytes:
    """What a file holds. Records may hold lone surrogates, which UTF-8 can't."""
    return content if isinstance(content, bytes) else content.encode("utf-8", errors="backslashreplace")


def hash_content(content: str | bytes) -> str:
    """SHA-256 (hex) of the file."""
    return hashlib.sha256(encode_content(content)).hexdigest()


def _list_foreign(out: Path) -> list[str]:
    """Files and links in `out` that the last report did not write: its manifest doesn't name them, or names another
    content. A manifest can't make a file of the user's one of ours.

    Raises:
        GptexpError: `out` holds something and no manifest of ours, so that replacing it could destroy it.
    """
    if not out.exists():
        return []
    if not out.is_dir():
        raise GptexpError(f"{out} is a file; --out takes a folder")
    try:
        present = [(path.relative_to(out).as_posix(), kind) for path, kind in list_tree(out, out) if kind != "folder"]
    except OSError as error:
        raise GptexpError(f"{out} can't be listed ({explain(error)}); choose another folder with --out") from None
    for name, kind in present:
        if kind == "other":
            raise GptexpError(f"{out / name} is a pipe, a socket or a device; move it away, or choose another --out")
    if not present:
        return []
    try:
        manifest = json.loads(read_bytes(out / MANIFEST, out))
        ours = {str(entry["path"]): str(entry["sha256"]) for entry in manifest["files"]}
        if manifest["generator"] != "gptexp":
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise GptexpError(
            f"{out} holds files that are no gptexp report; choose an empty folder or a new one with --out"
        ) from None
    return [name for name, _ in present if name != MANIFEST and not _is_as_written(out, name, ours.get(name))]


def _is_as_written(out: Path, name: str, digest: str | None) -> bool:
    if digest is None:
        return False
    try:
        check_sha256(out / name, digest, out, limit=LARGEST_PART)
    except (OSError, ValueError):
        return False
    return True
