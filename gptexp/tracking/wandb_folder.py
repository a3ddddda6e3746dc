"""The W&B client's own folder in a run folder. The client follows links, so there must be none to follow."""

from __future__ import annotations

import contextlib

from gptexp.errors import GptexpError
from gptexp.files import append_bytes, disk_errors, kind_of, list_folder, remove_file, remove_tree
from gptexp.tracking.run_dir import RunDir

FOLDER = "wandb"


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


def mark_synced(run_dir: RunDir) -> None:
    """Leave the client's own mark: `wandb sync` would send it all a second time."""
    with contextlib.suppress(OSError):
        for folder in list_folder(run_dir.path / FOLDER, run_dir.within):
            if folder.kind != "folder" or "run-" not in folder.name:
                continue
            place = run_dir.path / FOLDER / folder.name
            for file in list_folder(place, run_dir.within):
                if file.kind == "file" and file.name.startswith("run-") and file.name.endswith(".wandb"):
                    append_bytes(place / f"{file.name}.synced", b"", run_dir.within)
