"""Checks run folders, and frees the space of those that nobody needs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from gptexp.config import identity_hash
from gptexp.errors import GptexpError
from gptexp.tracking.run_dir import DONE, RUN_ID, Result, RunDir
from gptexp.tracking.run_log import read_records
from gptexp.training.checkpoint import OPTIMIZER, check_checkpoint, drop_optimizer, list_checkpoints


def list_run_dirs(runs_dir: Path) -> list[RunDir]:
    """Every folder that is named like a run, by id; links are none."""
    paths = sorted(runs_dir.iterdir()) if runs_dir.is_dir() else []
    return [RunDir(path) for path in paths if RUN_ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def verify_run(run_dir: RunDir) -> list[str]:
    """What is wrong with a run folder, one clause each; empty when everything holds together.

    The id must be the hash of the config, the records must count every step once, the result must agree with them, and
    every checkpoint must match its checksums. A run that a study asked for and nobody has begun is sound.
    """
    if not (run_dir.path / "config.json").exists() and not run_dir.records.exists() and run_dir.read_members():
        return []
    problems = _verify_config(run_dir)
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
    except (ValueError, KeyError, TypeError) as error:
        return [f"config.json is damaged: {error}"]
    if found != run_dir.path.name:
        return [f"config.json was altered: it hashes to {found}, the folder is {run_dir.path.name}"]
    return []


def _verify_records(run_dir: RunDir, result: Result | None) -> list[str]:
    steps = [record["step"] for record in read_records(run_dir.records) if record["kind"] == "step"]
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
    size = folder_bytes(run_dir.path)
    with _claim(run_dir):
        shutil.rmtree(run_dir.path)
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
        for path in [*run_dir.path.glob(".*.*"), *run_dir.checkpoints.glob(".step-*")]:
            freed.append(Freed(name, f"leftover {path.name}", _delete(path, dry_run)))
        for path in list_checkpoints(run_dir.checkpoints) if done else []:
            if weights:
                freed.append(Freed(name, f"weights {path.name}", _delete(path, dry_run)))
            elif (path / OPTIMIZER).exists():
                size = (path / OPTIMIZER).stat().st_size if dry_run else drop_optimizer(path)
                freed.append(Freed(name, f"optimizer state {path.name}", size))
    return freed


def published_run_ids(folders: Iterable[Path]) -> set[str]:
    """Every run id that a `manifest.json` below `folders` mentions.

    Raises:
        GptexpError: a manifest can't be read, so nobody knows what it needs.
    """
    found: set[str] = set()
    for folder in folders:
        for path in folder.rglob("manifest.json") if folder.is_dir() else []:
            try:
                found |= set(_ids_in(json.loads(path.read_text(encoding="utf-8"))))
            except (OSError, ValueError) as error:
                raise GptexpError(
                    f"{path} can't be read ({error}), so what it needs is unknown; mend or remove it"
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


def folder_bytes(path: Path) -> int:
    """Bytes of all files below `path`; links are not followed."""
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def _claim(run_dir: RunDir) -> FileLock:
    lock = FileLock(run_dir.path / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise GptexpError(f"run {run_dir.path.name} is being worked on; stop that first") from None
    return lock


def _delete(path: Path, dry_run: bool) -> int:
    size = folder_bytes(path) if path.is_dir() else path.lstat().st_size
    if dry_run:
        return size
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return size
