"""The files of a pack: written so that no two packings mix, and read against their checksums.

`runs.json` names the SHA-256 of every other file, and ends in its own. A new packing is written beside the old one;
it counts from the moment at which its `runs.json` is in place, and then its other files take their places. A process
that is killed in between leaves the old packing or the new one: readers find the new files where they were written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.errors import GptexpError
from gptexp.files import (
    LARGEST_PART,
    alone_in,
    disk_errors,
    explain,
    list_folder,
    make_folder,
    read_bytes,
    remove_file,
    rename,
    replace_file,
    sync_folder,
)

RUNS = "runs.json"
OWN = "sha256"
_OWN_LINE = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\n\Z')
_LEFT = re.compile(r"\..+\.[0-9a-f]{12}\.new(\.[0-9a-f]{8})?|\.runs\.json\.[0-9a-f]{8}")
"""What a killed packing leaves: files that were written beside the old ones, whole or not."""


@dataclass(frozen=True)
class Pack:
    """An opened pack: `content` is what its `runs.json` holds, which was checked."""

    path: Path
    content: dict[str, Any]

    @property
    def has_checksums(self) -> bool:
        """False where it was packed before there were any."""
        return OWN in self.content

    def has(self, name: str) -> bool:
        """Whether one of its files is there; those that every pack has are there in any case."""
        files = self.content.get("files")
        return isinstance(files, dict) and name in files

    def read(self, name: str) -> bytes:
        """One of its files.

        Raises:
            GptexpError: it is missing, can't be read, or is not the one that was packed.
        """
        try:
            if not self.has_checksums:
                return read_bytes(self.path / name, self.path, limit=LARGEST_PART)
            digest = str(self.content["files"][name])
            # Last the first place again: a packing may just have put it there.
            for place in (name, _stage(name, digest), name):
                with contextlib.suppress(FileNotFoundError):
                    data = read_bytes(self.path / place, self.path, limit=LARGEST_PART)
                    if hashlib.sha256(data).hexdigest() == digest:
                        return data
        except PermissionError as error:
            raise GptexpError(f"{self.path / name} can't be read: {explain(error)}") from None
        except OSError as error:
            raise damaged_pack(self.path, f"{name}: {explain(error)}") from None
        except (KeyError, TypeError):
            raise damaged_pack(self.path, f"{RUNS} doesn't speak of {name}") from None
        raise damaged_pack(self.path, f"{name} is not the file that was packed: it is gone, or something was altered")


def open_pack(path: Path) -> Pack:
    """The pack in a folder.

    Raises:
        GptexpError: its runs.json can't be read, or was altered.
    """
    try:
        data = read_bytes(path / RUNS, path, limit=LARGEST_PART)
        content = json.loads(data)
    except PermissionError as error:
        raise GptexpError(f"{path / RUNS} can't be read: {explain(error)}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise damaged_pack(path, f"{RUNS}: {explain(error) if isinstance(error, OSError) else 'not JSON'}") from None
    if not isinstance(content, dict) or not isinstance(content.get("runs"), list):
        raise damaged_pack(path, f"{RUNS} holds no runs")
    own = _OWN_LINE.search(data)
    is_intact = own is not None and hashlib.sha256(data[: own.start()]).hexdigest() == own[1].decode()
    if not is_intact and (own or OWN in content or "files" in content):
        raise damaged_pack(path, f"{RUNS} is not as it was packed: something in it was altered")
    return Pack(path, content)


def write_pack(path: Path, parts: Mapping[str, bytes], content: Mapping[str, Any]) -> None:
    """Put a pack into a folder, at one moment, in place of the one that it holds.

    Args:
        parts: the files by name.
        content: of runs.json, without checksums.

    Raises:
        DiskError: it could not be written; a pack that was there still is.
    """
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(parts.items())}
    with disk_errors(path):
        make_folder(path)
        # Another packing would take what this one wrote for what a killed one left.
        with alone_in(path):
            for name, data in parts.items():
                replace_file(path / _stage(name, digests[name]), data, path)
            replace_file(path / RUNS, _write_runs({**content, "files": digests}), path)
            for name, digest in digests.items():
                rename(path / _stage(name, digest), path / name, path)
            for entry in list_folder(path, path):
                is_of_old_pack = entry.name.endswith(".parquet") and entry.name not in parts
                if is_of_old_pack or is_leftover(entry.name):
                    remove_file(path / entry.name, path)
            sync_folder(path)


def is_leftover(name: str) -> bool:
    """Whether a file of a pack's folder is what a packing is writing, or a killed one left."""
    return _LEFT.fullmatch(name) is not None


def damaged_pack(path: Path, reason: object) -> GptexpError:
    """The sentence about a pack that can't be used."""
    return GptexpError(f"the packed records in {path} are damaged ({reason}); get them again")


def dump(content: Any) -> str:
    """JSON as packs hold it."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=True) + "\n"


def _write_runs(content: Mapping[str, Any]) -> bytes:
    """Its own checksum stands last, of all that stands before it."""
    begun = dump(content).encode().removesuffix(b"\n}\n")
    return begun + f',\n "{OWN}": "{hashlib.sha256(begun).hexdigest()}"\n}}\n'.encode()


def _stage(name: str, digest: str) -> str:
    return f".{name}.{digest[:12]}.new"
