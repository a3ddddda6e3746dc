"""Checks run folders, and frees the space of those that nobody needs."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, Timeout

from gptexp.config import identity_hash
from gptexp.errors import GptexpError
from gptexp.files import (
    ForeignFile,
    disk_errors,
    exists,
    explain,
    kind_of,
    list_folder,
    list_tree,
    lock_file,
    read_bytes,
    remove_tree,
    size_of,
)
from gptexp.tracking.run_dir import DONE, RUN_ID, Result, RunDir
from gptexp.tracking.run_log import read_records
from gptexp.training.checkpoint import OPTIMIZER, check_checkpoint, drop_optimizer, list_checkpoints

LEFTOVER = re.compile(r"\..*\..*", re.DOTALL)
"""Names of files that an interrupted write leaves."""


def list_run_dirs(runs_dir: Path) -> list[RunDir]:
    """Every folder that is named like a run, by id; links are none."""
    entries = list_folder(runs_dir, runs_dir)
    return [
        RunDir(runs_dir / entry.name) for entry in entries if entry.kind == "folder" and RUN_ID.fullmatch(entry.name)
    ]


def verify_run(run_dir: RunDir) -> list[str]:
    """What is wrong with a run folder, one clause each; empty when everything holds together.

    The id must be the hash of the config, the records must count every step once, the result must agree with them, and
    every checkpoint must match its checksums. A run that a study asked for and nobody has begun is sound.
    """
    problems = _verify_places(run_dir)
    within = run_dir.within
    if (
        not exists(run_dir.path / "config.json", within)
        and not exists(run_dir.records, within)
        and run_dir.read_members()
    ):
        return problems
    problems += _verify_config(run_dir)
    try:
        result = run_dir.read_result()
    except ValueError as error:
        problems.append(str(error))
        result = None
    problems += _verify_records(run_dir, result)
    for path in list_checkpoints(run_dir.checkpoints):
        if (reason := check_checkpoint(path)) is not None:
            problems.append(f"checkpoint {path.name}: {reason}")
    return problems


def _verify_places(run_dir: RunDir) -> list[str]:
    """What stands where only files and folders of ours should. The W&B client links within its own folder."""
    try:
        entries = [(run_dir.path / entry.name, entry.kind) for entry in list_folder(run_dir.path, run_dir.within)]
        if exists(run_dir.checkpoints, run_dir.within):
            entries += list_tree(run_dir.checkpoints, run_dir.within)
    except OSError as error:
        return [f"it can't be listed: {explain(error)}"]
    strange = [(path, kind) for path, kind in entries if kind in ("link", "other") and path.name != "wandb"]
    words = {"link": "is a link, which is not followed", "other": "is neither a file nor a folder"}
    return [f"{path.relative_to(run_dir.path)} {words[kind]}" for path, kind in strange]


def _verify_config(run_dir: RunDir) -> list[str]:
    try:
        content = run_dir.read_config()
        found = identity_hash(
            content["config"],
            content["engine_version"],
            content["corpus"]["checksum"],
            content["tokenizer"]["checksum"],
        )
    except FileNotFoundError:
        return ["config.json is missing"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"config.json is damaged: {error}"]
    if found != run_dir.path.name:
        return [f"config.json was altered: it hashes to {found}, the folder is {run_dir.path.name}"]
    return []


def _verify_records(run_dir: RunDir, result: Result | None) -> list[str]:
    try:
        steps = [record["step"] for record in read_records(run_dir.records) if record["kind"] == "step"]
    except OSError as error:
        return [f"records.jsonl can't be read ({explain(error)})"]
    problems = []
    if steps != list(range(1, len(steps) + 1)):
        problems.append("records.jsonl doesn't count every step once, in order")
    if result is not None and result.outcome in DONE and result.last_step != len(steps):
        problems.append(f"result.json speaks of {result.last_step} steps, records.jsonl holds {len(steps)}")
    return problems


@dataclass(frozen=True)
class Freed:
    """What cleaning a folder gave back."""

    run_id: str
    what: str
    n_bytes: int


def remove_run(run_dir: RunDir) -> Freed:
    """Delete a run and everything it recorded.

    Raises:
        GptexpError: a process is working on it.
    """
    with disk_errors(run_dir.path):
        size = folder_bytes(run_dir.path, run_dir.within)
    with _claim(run_dir), disk_errors(run_dir.path):
        remove_tree(run_dir.path, run_dir.within)
    return Freed(run_dir.path.name, "the run", size)


def clean_run(run_dir: RunDir, *, weights: bool, dry_run: bool = False) -> list[Freed]:
    """Delete what a run no longer needs: leftovers of interrupted writes; once it is done, optimizer states too.

    Args:
        weights: also delete the weights of a run that is done; its records stay, no more samples can be drawn.
        dry_run: only say what would go.

    Raises:
        GptexpError: a process is working on it.
    """
    done, name = run_dir.is_done(), run_dir.path.name
    freed = []
    with _claim(run_dir):
        for path in _list_leftovers(run_dir):
            freed.append(Freed(name, f"leftover {path.name}", _delete(path, run_dir, dry_run)))
        for path in list_checkpoints(run_dir.checkpoints) if done else []:
            if weights:
                freed.append(Freed(name, f"weights {path.name}", _delete(path, run_dir, dry_run)))
            elif exists(path / OPTIMIZER, run_dir.within):
                with disk_errors(path):
                    size = size_of(path / OPTIMIZER, run_dir.within) if dry_run else drop_optimizer(path)
                freed.append(Freed(name, f"optimizer state {path.name}", size))
    return freed


def _list_leftovers(run_dir: RunDir) -> list[Path]:
    """What interrupted writes left. Behind a linked folder of checkpoints nothing is ours."""
    found = [run_dir.path / e.name for e in list_folder(run_dir.path, run_dir.within) if LEFTOVER.fullmatch(e.name)]
    with contextlib.suppress(ForeignFile):
        entries = list_folder(run_dir.checkpoints, run_dir.within)
        found += [run_dir.checkpoints / entry.name for entry in entries if entry.name.startswith(".step-")]
    return found


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


def _delete(path: Path, run_dir: RunDir, dry_run: bool) -> int:
    with disk_errors(path):
        kind = kind_of(path, run_dir.within)
        size = folder_bytes(path, run_dir.within) if kind == "folder" else 0
        size += size_of(path, run_dir.within) if kind == "file" else 0
        if not dry_run:
            remove_tree(path, run_dir.within)
    return size
