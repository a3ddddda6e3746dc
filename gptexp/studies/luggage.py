"""Carries a run between two disks: its folder to a worker, and what is written there home while it trains.

Records come before the checkpoints that are saved with them, a checkpoint comes whole or not at all, and the result
comes last: the folder at home is at any moment one that a run can go on from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gptexp.files import (
    LARGEST_LOG,
    append_bytes,
    disk_errors,
    exists,
    kind_of,
    list_tree,
    make_folder,
    put_in_place,
    read_bytes,
    remove_at_once,
    remove_file,
    remove_tree,
    size_of,
    write_atomic,
    write_new,
)

CHECKPOINTS, RESULT, STAYS = "checkpoints", "result.json", "lock"
LARGEST_CARRIED = 2**37


@dataclass(frozen=True)
class Piece:
    """A change of a run folder."""

    path: str
    """Seen from the run folder."""
    data: bytes | None = None
    """A file's content, or what was added to it; None where it is no file."""
    is_added: bool = False
    """Whether `data` was added to a file that is there."""
    folder: Mapping[str, bytes] | None = None
    """The files of a new checkpoint."""


def pack_run(run_dir: Path) -> dict[str, bytes]:
    """Everything that a run needs to go on elsewhere, by paths seen from its folder.

    Raises:
        DiskError: it can't be read.
    """
    with disk_errors(run_dir):
        return {name: _read(run_dir, name) for name in _list_files(run_dir) if not name.startswith("wandb/")}


def unpack_run(run_dir: Path, files: Mapping[str, bytes]) -> None:
    """Write what `pack_run` gave into a new folder."""
    make_folder(run_dir, run_dir.parent)
    for name, data in files.items():
        make_folder((run_dir / name).parent, run_dir.parent)
        write_new(run_dir / name, data, run_dir.parent)


@dataclass
class Watcher:
    """What changes in a run folder, seen from what is known at home."""

    run_dir: Path
    _sums: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By path: bytes and SHA-256 of the files at home; of files of checkpoints only the bytes."""

    @classmethod
    def of(cls, run_dir: Path, files: Mapping[str, bytes]) -> Watcher:
        """Knows the files that came from home."""
        return cls(run_dir, {name: (len(data), _sum(name, data)) for name, data in files.items()})

    def collect(self, *, at_end: bool) -> list[Piece]:
        """What has changed since the last call, in the order in which it may be written at home.

        Args:
            at_end: nobody writes any more: the result and a tracker's files come too.
        """
        # Listed before the records are read: a checkpoint that is listed has its records in what is read then.
        names = _list_files(self.run_dir)
        pieces: list[Piece] = []
        for name in [name for name in names if not name.startswith(f"{CHECKPOINTS}/") and name != RESULT]:
            if at_end or "/" not in name:
                pieces += self._compare(name, at_end)
        pieces += self._compare_checkpoints(names)
        if at_end and RESULT in names:
            pieces += self._compare(RESULT, at_end)
        gone = [name for name in self._sums if not exists(self.run_dir / name, self.run_dir.parent)]
        for name in gone:
            del self._sums[name]
        # A result is of the records that it was written with: it goes before they change.
        gone.sort(key=lambda name: name != RESULT)
        first = [Piece(name) for name in gone if name == RESULT]
        return first + pieces + [Piece(name) for name in gone if name != RESULT]

    def _compare(self, name: str, at_end: bool) -> list[Piece]:
        try:
            data = _read(self.run_dir, name)
        except FileNotFoundError:
            return []
        if name.endswith(".jsonl") and not at_end:
            # The rest is a line that is being written.
            data = data[: data.rfind(b"\n") + 1]
        n_bytes, known = self._sums.get(name, (0, ""))
        if n_bytes == len(data) and _sum(name, data) == known:
            return []
        self._sums[name] = (len(data), _sum(name, data))
        is_grown = name.endswith(".jsonl") and 0 < n_bytes < len(data) and _sum(name, data[:n_bytes]) == known
        return [Piece(name, data[n_bytes:], is_added=True)] if is_grown else [Piece(name, data)]

    def _compare_checkpoints(self, names: Sequence[str]) -> list[Piece]:
        folders: dict[str, list[str]] = {}
        for name in names:
            if name.startswith(f"{CHECKPOINTS}/"):
                folders.setdefault(name.rpartition("/")[0], []).append(name)
        pieces: list[Piece] = []
        for folder, files in folders.items():
            with contextlib.suppress(FileNotFoundError):
                if not any(name in self._sums for name in files):
                    content = {name.rpartition("/")[2]: _read(self.run_dir, name) for name in files}
                    pieces.append(Piece(folder, folder=content))
                    changed = files
                else:
                    changed = [name for name in files if self._sums.get(name, (-1, ""))[0] != self._size(name)]
                    pieces += [Piece(name, _read(self.run_dir, name)) for name in changed]
                self._sums |= {name: (self._size(name), "") for name in changed}
        return pieces

    def _size(self, name: str) -> int:
        return size_of(self.run_dir / name, self.run_dir.parent)


def write_home(run_dir: Path, pieces: Sequence[Piece]) -> None:
    """Make the changes in the run folder at home. Whoever calls this holds the run's lock.

    Raises:
        DiskError: the disk refused.
    """
    within = run_dir.parent
    with disk_errors(run_dir):
        for piece in pieces:
            path = run_dir / piece.path
            if piece.folder is not None:
                _write_folder(path, piece.folder, within)
            elif piece.data is None:
                _remove(path, within)
            elif piece.is_added:
                append_bytes(path, piece.data, within)
            else:
                make_folder(path.parent, within)
                write_atomic(path, piece.data, within)


def _write_folder(target: Path, files: Mapping[str, bytes], within: Path) -> None:
    """A checkpoint, whole or not at all: under the name that `tidy_run` knows until it is."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    remove_tree(temporary, within)
    make_folder(temporary, within)
    for name, data in files.items():
        write_new(temporary / name, data, within)
    put_in_place(temporary, target, within)


def _remove(path: Path, within: Path) -> None:
    """Delete a file, and the checkpoint that it was the last file of."""
    with contextlib.suppress(FileNotFoundError):
        remove_file(path, within)
    if path.parent.parent.name == CHECKPOINTS and not any(list_tree(path.parent, within)):
        remove_at_once(path.parent, within)


def _list_files(run_dir: Path) -> list[str]:
    """Paths of all files of a run, seen from its folder, without what is being written."""
    if kind_of(run_dir, run_dir.parent) != "folder":
        return []
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path, kind in list_tree(run_dir, run_dir.parent):
            parts = path.relative_to(run_dir).parts
            if kind == "file" and parts != (STAYS,) and not any(part.startswith(".") for part in parts):
                found.append("/".join(parts))
    return found


def _read(run_dir: Path, name: str) -> bytes:
    limit = LARGEST_CARRIED if name.startswith(f"{CHECKPOINTS}/") else LARGEST_LOG
    return read_bytes(run_dir / name, run_dir.parent, limit=limit)


def _sum(name: str, data: bytes) -> str:
    return "" if name.startswith(f"{CHECKPOINTS}/") else hashlib.sha256(data).hexdigest()
