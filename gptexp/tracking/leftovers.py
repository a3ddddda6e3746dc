"""What killed processes leave in a run folder: put back where it is the only copy, else deleted."""

from __future__ import annotations

import re
from pathlib import Path

from gptexp.files import REMOVED, is_folder, list_folder, remove_tree, rename, sync_folder
from gptexp.tracking.run_dir import RunDir
from gptexp.training.checkpoint import check_checkpoint, list_checkpoints, step_of

UNWRITTEN = re.compile(r"\.[a-z]+\.jsonl?\..+")
"""A file of ours that was being written: `.result.json.1f2e3d4c`."""
UNSAVED = re.compile(r"\.(step-[0-9]{1,18})\.[0-9]+")
"""A checkpoint that was being written: `.step-00000100.4711`."""


def list_leftovers(run_dir: RunDir) -> list[Path]:
    """Files and folders that no process needs any more, if nobody works on the run.

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
    """Whether a leftover is a whole checkpoint, newer than those that stand: its writer was killed before its rename.

    For a run that is done it may be all that there is of its last weights.
    """
    match = UNSAVED.fullmatch(path.name)
    if match is None:
        return False
    step, known = step_of(path.with_name(match[1])), list_checkpoints(path.parent)
    return (not known or step_of(known[0]) < step) and check_checkpoint(path, step) is None


def tidy_run(run_dir: RunDir) -> None:
    """Finish or undo what killed processes began. Nobody else may be working on the run.

    Raises:
        OSError: the disk refused.
    """
    for path in list_leftovers(run_dir):
        if is_only_copy(path):
            put_back(path, run_dir)
        else:
            remove_tree(path, run_dir.within)


def put_back(path: Path, run_dir: RunDir) -> None:
    """Finish the writing of a checkpoint that is whole.

    Raises:
        OSError: the disk refused.
    """
    rename(path, path.with_name(path.name[1:].partition(".")[0]), run_dir.within)
    sync_folder(path.parent)
