"""Lists run folders, and frees the space of those that nobody needs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, Timeout

from gptexp.errors import GptexpError
from gptexp.files import (
    REMOVED,
    ForeignFile,
    disk_errors,
    exists,
    explain,
    kind_of,
    list_tree,
    lock_file,
    read_bytes,
    remove_at_once,
    size_of,
)
from gptexp.tracking.leftovers import is_only_copy, list_leftovers, put_back
from gptexp.tracking.run_dir import RUN_ID, RunDir, list_runs_folder
from gptexp.training.checkpoint import OPTIMIZER, DamagedCheckpoint, drop_optimizer, list_checkpoints


def list_run_dirs(runs_dir: Path) -> list[RunDir]:
    """Every folder that is named like a run, by id; links are none."""
    entries = list_runs_folder(runs_dir)
    return [
        RunDir(runs_dir / entry.name) for entry in entries if entry.kind == "folder" and RUN_ID.fullmatch(entry.name)
    ]


@dataclass(frozen=True)
class Freed:
    """What cleaning a folder gave back."""

    run_id: str
    what: str
    n_bytes: int


def remove_run(run_dir: RunDir) -> Freed:
    """Delete a run and everything it recorded. Killed in between, the run is there whole or not at all.

    Raises:
        GptexpError: a process is working on it, or the disk refuses.
    """
    with disk_errors(run_dir.path):
        size = folder_bytes(run_dir.path, run_dir.within)
    with _claim(run_dir), disk_errors(run_dir.path):
        remove_at_once(run_dir.path, run_dir.within)
    return Freed(run_dir.path.name, "the run", size)


def clear_removed_runs(runs_dir: Path, *, dry_run: bool = False) -> list[Freed]:
    """Delete what a killed `remove_run` left of runs that are no more."""
    freed = []
    for entry in list_runs_folder(runs_dir):
        run_id = entry.name.removeprefix(REMOVED)
        if entry.name.startswith(REMOVED) and RUN_ID.fullmatch(run_id) and entry.kind == "folder":
            freed.append(Freed(run_id, "the rest of a removed run", _delete(runs_dir / entry.name, runs_dir, dry_run)))
    return freed


def clean_run(run_dir: RunDir, *, weights: bool, dry_run: bool = False) -> list[Freed]:
    """Delete what a run no longer needs: leftovers of interrupted writes; once it is done, optimizer states too.

    A checkpoint that is whole but for its name, and newer than all others, is put back instead.

    Args:
        weights: also delete the weights of a run that is done; its records stay, no more samples can be drawn.
        dry_run: only say what would go.

    Raises:
        GptexpError: a process is working on it, or the disk refuses.
    """
    name = run_dir.path.name
    freed = []
    with disk_errors(run_dir.path), _claim(run_dir):
        for path in list_leftovers(run_dir):
            if is_only_copy(path):
                freed.append(Freed(name, f"{path.name} is put back, nothing", 0))
                if not dry_run:
                    put_back(path, run_dir)
            else:
                freed.append(Freed(name, f"leftover {path.name}", _delete(path, run_dir.within, dry_run)))
        done = run_dir.is_done()
        # Oldest first: while there are weights, those of the last step are among them.
        for path in reversed(list_checkpoints(run_dir.checkpoints)) if done else []:
            if weights:
                freed.append(Freed(name, f"weights {path.name}", _delete(path, run_dir.within, dry_run)))
            elif exists(path / OPTIMIZER, run_dir.within):
                with contextlib.suppress(DamagedCheckpoint):
                    size = size_of(path / OPTIMIZER, run_dir.within) if dry_run else drop_optimizer(path)
                    freed.append(Freed(name, f"optimizer state {path.name}", size))
    return freed


def published_run_ids(folders: Iterable[Path]) -> set[str]:
    """Every run id that a `manifest.json` below `folders` mentions.

    Raises:
        GptexpError: a manifest can't be read, so nobody knows what it needs.
    """
    found: set[str] = set()
    for folder in folders:
        for path, kind in list_tree(folder, folder):
            if path.name != "manifest.json":
                continue
            try:
                if kind != "file":
                    raise ForeignFile("it is no file", path)
                found |= set(_ids_in(json.loads(read_bytes(path, folder))))
            except (OSError, ValueError, RecursionError) as error:
                reason = explain(error) if isinstance(error, OSError) else error
                raise GptexpError(
                    f"{path} can't be read ({reason}), so what it needs is unknown; mend or remove it"
                ) from None
    return found


def _ids_in(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        for key, content in value.items():
            yield from _ids_in(key)
            yield from _ids_in(content)
    elif isinstance(value, list):
        for content in value:
            yield from _ids_in(content)
    elif isinstance(value, str) and RUN_ID.fullmatch(value):
        yield value


def folder_bytes(path: Path, within: Path) -> int:
    """Bytes of all files below `path`; links are not followed."""
    return sum(size_of(file, within) for file, kind in list_tree(path, within) if kind == "file")


def _claim(run_dir: RunDir) -> BaseFileLock:
    lock = lock_file(run_dir.path / "lock", run_dir.within)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise GptexpError(f"run {run_dir.path.name} is being worked on; stop that first") from None
    return lock


def _delete(path: Path, within: Path, dry_run: bool) -> int:
    with disk_errors(path):
        kind = kind_of(path, within)
        size = folder_bytes(path, within) if kind == "folder" else 0
        size += size_of(path, within) if kind == "file" else 0
        if not dry_run:
            remove_at_once(path, within)
    return size
