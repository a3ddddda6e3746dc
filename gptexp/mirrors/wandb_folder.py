"""The W&B client's own folder in a run folder. The client follows links, so there must be none to follow."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from gptexp.errors import GptexpError
from gptexp.files import append_bytes, disk_errors, kind_of, list_folder, remove_file, remove_tree, write_atomic
from gptexp.tracking.lines import read_object
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir

FOLDER = "wandb"
NOTE = "gptexp.json"
"""Our own note among the client's files: which result the offline mirror holds, or null while it is being written."""


def prepare_folder(run_dir: RunDir, *, anew: bool) -> None:
    """Make the client's folder safe to write to.

    Args:
        anew: drop what is left of offline runs: a new one holds the whole history, and both would double it.

    Raises:
        GptexpError: it is a link or no folder; DiskError: the disk refused.
    """
    path = run_dir.path / FOLDER
    if kind_of(path, run_dir.within) not in (None, "folder"):
        raise GptexpError(f"{path} is no folder but a link or a file, so nothing is kept for W&B there; remove it")
    with disk_errors(path):
        for entry in list_folder(path, run_dir.within):
            if entry.kind in ("link", "other"):
                # The client makes its own links again (latest-run, debug.log).
                remove_file(path / entry.name, run_dir.within)
            elif anew and entry.name.startswith("offline-run-"):
                remove_tree(path / entry.name, run_dir.within)


def note_offline(run_dir: RunDir, result: Result | None) -> None:
    """Note that an offline mirror holds a run up to its `result`; None when it is begun.

    Raises:
        DiskError: it could not be written.
    """
    note = {"holds": result.finished_at if result else None}
    write_atomic(run_dir.path / FOLDER / NOTE, json.dumps(note) + "\n", run_dir.within)


def has_offline_mirror(run_dir: RunDir, result: Result) -> bool:
    """Whether an offline mirror holds all of a run that is over. One from before there were notes is believed to."""
    if not _list_histories(run_dir, "offline-run-"):
        return False
    try:
        return read_object(run_dir.path / FOLDER / NOTE, run_dir.within).get("holds") == result.finished_at
    except FileNotFoundError:
        return True
    except ValueError:
        return False


def _list_histories(run_dir: RunDir, start: str) -> list[Path]:
    """The client's files of runs, in folders whose names start so."""
    found = []
    with contextlib.suppress(OSError):
        for folder in list_folder(run_dir.path / FOLDER, run_dir.within):
            if folder.kind == "folder" and folder.name.startswith(start):
                place = run_dir.path / FOLDER / folder.name
                files = list_folder(place, run_dir.within)
                found += [
                    place / file.name
                    for file in files
                    if file.kind == "file" and file.name.startswith("run-") and file.name.endswith(".wandb")
                ]
    return found


def mark_synced(run_dir: RunDir) -> None:
    """Leave the client's own mark: `wandb sync` would send it all a second time."""
    with contextlib.suppress(OSError):
        for file in [*_list_histories(run_dir, "run-"), *_list_histories(run_dir, "offline-run-")]:
            append_bytes(file.with_name(f"{file.name}.synced"), b"", run_dir.within)
