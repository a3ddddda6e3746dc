"""Writes a report's folder so that a half-written page never stands."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gptexp.errors import GptexpError
from gptexp.files import check_sha256, copy_entry, explain, list_tree, read_bytes, remove_tree, write_new

MANIFEST = "manifest.json"


def write_bundle(out: Path, files: Mapping[str, str | bytes]) -> None:
    """Make `out` hold exactly `files` (relative path to content), by renaming a finished folder into its place.

    Files in `out` that the last report did not write (a note, a screenshot) stay, and so does what was changed since.

    Raises:
        GptexpError: `out` is a file or a folder with other things in it, or can't be written.
    """
    foreign = _list_foreign(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise GptexpError(f"{out} can't be written ({error.strerror}); choose another folder with --out") from error
    try:
        for name, content in files.items():
            write_new(fresh / name, encode_content(content), fresh)
        for name in foreign:
            if name not in files:
                copy_entry(out / name, fresh / name, out, fresh)
        fresh.chmod(0o777 & ~_read_umask())
        _swap(fresh, out)
    except OSError as error:
        raise GptexpError(f"the report can't be written to {out} ({explain(error)}); is the disk full?") from error
    finally:
        with contextlib.suppress(OSError):
            remove_tree(fresh)


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
        check_sha256(out / name, digest, out)
    except (OSError, ValueError):
        return False
    return True


def _swap(fresh: Path, out: Path) -> None:
    """Put `fresh` in the place of `out`. If the second rename fails, the first is undone."""
    if not out.exists():
        fresh.rename(out)
        return
    old = fresh.with_name(fresh.name + "-old")
    target = out.resolve()
    target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        old.rename(target)
        raise
    with contextlib.suppress(OSError):
        remove_tree(old)


def _read_umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
