"""Lists run folders, removes runs, and deletes files that runs no longer need."""

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
    """All folders whose name is a run id, sorted by id. Links are left out."""
    entries = list_runs_folder(runs_dir)
    return [
        RunDir(runs_dir / entry.name) for entry in entries if entry.kind == "folder" and RUN_ID.fullmatch(entry.name)
    ]


@dataclass(frozen=True)
class Freed:
    """One thing that was deleted, and how many bytes that freed."""

    run_id: str
    what: str
    n_bytes: int


def remove_run(run_dir: RunDir) -> Freed:
    """Delete a run and all its records atomically: a killed process leaves the run complete or gone.

    Raises:
        GptexpError: a process is working on the run, or it can't be deleted.
    """
    with disk_errors(run_dir.path):
        size = folder_bytes(run_dir.path, run_dir.within)
    with _claim(run_dir), disk_errors(run_dir.path):
        remove_at_once(run_dir.path, run_dir.within)
    return Freed(run_dir.path.name, "the run", size)


def clear_removed_runs(runs_dir: Path, *, dry_run: bool = False) -> list[Freed]:
    """Delete what killed calls of `remove_run` left behind."""
    freed = []
    for entry in list_runs_folder(runs_dir):
        run_id = entry.name.removeprefix(REMOVED)
        if entry.name.startswith(REMOVED) and RUN_ID.fullmatch(run_id) and entry.kind == "folder":
            freed.append(Freed(run_id, "the rest of a removed run", _delete(runs_dir / entry.name, runs_dir, dry_run)))
    return freed


def clean_run(run_dir: RunDir, *, weights: bool, dry_run: bool = False) -> list[Freed]:
    """Delete leftovers of interrupted writes and, once a run is done, its optimizer states.

    A complete checkpoint that only lacks its final name, and is newer than all others, is restored instead.

    Args:
        weights: also delete the weights of a run that is done. Its records stay, but it can't be sampled any more.
        dry_run: only report what would be deleted.

    Raises:
        GptexpError: a process is working on the run, or something can't be deleted.
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
        # Delete the oldest first: if the process is killed, the weights of the last step remain.
        for path in reversed(list_checkpoints(run_dir.checkpoints)) if done else []:
            if weights:
                freed.append(Freed(name, f"weights {path.name}", _delete(path, run_dir.within, dry_run)))
            elif exists(path / OPTIMIZER, run_dir.within):
                with contextlib.suppress(DamagedCheckpoint):
                    size = size_of(path / OPTIMIZER, run_dir.within) if dry_run else drop_optimizer(path)
                    freed.append(Freed(name, f"optimizer state {path.name}", size))
    return freed


def published_run_ids(folders: Iterable[Path]) -> set[str]:
    """All run ids that occur in a `manifest.json` anywhere below `folders`.

    Raises:
        GptexpError: a manifest can't be read, so the runs that it needs are unknown.
    """
    found: set[str] = set()
    for folder in folders:
        for path, kind in list_tree(folder, folder):
            if path.name != "manifest.json":
                continue
            try:
                if kind != "file":
                    raise ForeignFile("it is not a file", path)
                found |= set(_ids_in(json.loads(read_bytes(path, folder))))
            except (OSError, ValueError, RecursionError) as error:
                reason = explain(error) if isinstance(error, OSError) else error
                raise GptexpError(
                    f"{path} can't be read ({reason}), so the runs that it needs are unknown; repair or remove it"
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
