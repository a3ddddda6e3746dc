"""Writes a report's folder so that a half-written page never stands."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gptexp.errors import GptexpError

MANIFEST = "manifest.json"


def write_bundle(out: Path, files: Mapping[str, str | bytes]) -> None:
    """Make `out` hold exactly `files` (relative path to content), by renaming a finished folder into its place.

    Files in `out` that the last report did not write (a note, a screenshot) stay.

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
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_content(content))
        for name in foreign:
            if name not in files:
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(out / name, fresh / name)
        fresh.chmod(0o777 & ~_read_umask())
        _swap(fresh, out)
    except OSError as error:
        raise GptexpError(f"the report can't be written to {out} ({error.strerror}); is the disk full?") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def encode_content(content: str | bytes) -> bytes:
    """What a file holds. Records may hold lone surrogates, which UTF-8 can't."""
    return content if isinstance(content, bytes) else content.encode("utf-8", errors="backslashreplace")


def hash_content(content: str | bytes) -> str:
    """SHA-256 (hex) of the file."""
    return hashlib.sha256(encode_content(content)).hexdigest()


def _list_foreign(out: Path) -> list[str]:
    """Files in `out` that its manifest doesn't know.

    Raises:
        GptexpError: `out` holds something and no manifest of ours, so that replacing it could destroy it.
    """
    if not out.exists():
        return []
    if not out.is_dir():
        raise GptexpError(f"{out} is a file; --out takes a folder")
    present = [path.relative_to(out).as_posix() for path in sorted(out.rglob("*")) if path.is_file()]
    if not present:
        return []
    try:
        manifest = json.loads((out / MANIFEST).read_bytes())
        ours = {entry["path"] for entry in manifest["files"]} | {MANIFEST}
        if manifest["generator"] != "gptexp":
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise GptexpError(
            f"{out} holds files that are no gptexp report; choose an empty folder or a new one with --out"
        ) from None
    return [name for name in present if name not in ours]


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
    shutil.rmtree(old, ignore_errors=True)


def _read_umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
