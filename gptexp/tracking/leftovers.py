"""Leftovers of killed processes in a run folder: restored if they are the only copy of something, else deleted."""

from __future__ import annotations

import re
from pathlib import Path

from gptexp.files import REMOVED, is_folder, list_folder, remove_tree, rename, sync_folder
from gptexp.tracking.run_dir import RunDir
from gptexp.training.checkpoint import check_checkpoint, list_checkpoints, step_of

UNWRITTEN = re.compile(r"\.[a-z]+\.jsonl?\..+")
"""Name of a temporary file during a write: `.result.json.1f2e3d4c`."""
UNSAVED = re.compile(r"\.(step-[0-9]{1,18})\.[0-9]+")
"""Name of a checkpoint folder during a write: `.step-00000100.4711`."""


def list_leftovers(run_dir: RunDir) -> list[Path]:
    """Temporary files and folders, which nobody needs unless a process is working on the run.

    Raises:
        OSError: a folder can't be read.
    """
    checkpoints = run_dir.checkpoints
    folders = [run_dir.path, checkpoints, run_dir.path / "wandb"]
    folders += list_checkpoints(checkpoints) if is_folder(checkpoints, run_dir.within) else []
    return [
        folder / entry.name
        for folder in folders
        if is_folder(folder, run_dir.within)
        for entry in list_folder(folder, run_dir.within)
        if entry.name.startswith((REMOVED, ".step-")) or UNWRITTEN.fullmatch(entry.name)
    ]


def is_only_copy(path: Path) -> bool:
    """Whether a leftover is a complete checkpoint newer than all others: its writer was killed before the rename.

    It may hold the only copy of the last weights.
    """
    match = UNSAVED.fullmatch(path.name)
    if match is None:
        return False
    step, known = step_of(path.with_name(match[1])), list_checkpoints(path.parent)
    return (not known or step_of(known[0]) < step) and check_checkpoint(path, step) is None


def tidy_run(run_dir: RunDir) -> None:
    """Restore or delete the leftovers of killed processes. No other process may be working on the run.

    Raises:
        OSError: a file can't be renamed or deleted.
    """
    for path in list_leftovers(run_dir):
        if is_only_copy(path):
            put_back(path, run_dir)
        else:
            remove_tree(path, run_dir.within)


def put_back(path: Path, run_dir: RunDir) -> None:
    """Give a complete checkpoint its final name.

    Raises:
        OSError: it can't be renamed.
    """
    rename(path, path.with_name(path.name[1:].partition(".")[0]), run_dir.within)
    sync_folder(path.parent)
