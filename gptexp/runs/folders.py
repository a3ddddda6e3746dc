"""The run folders of a runs folder, or of packed records, and the studies that their runs serve."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gptexp.files import explain
from gptexp.processes import ALONE, Processes
from gptexp.runs.collector import without_collector
from gptexp.runs.folder import RunFolder, check_folder, read_run_folder
from gptexp.tracking.packs import is_packed
from gptexp.tracking.places import publish_variants
from gptexp.tracking.run_dir import RUN_ID, list_runs_folder

READ_AT_ONCE = 200
"""Folders that a process reads before it takes more."""


def read_run_folders(
    runs_dir: Path, run_ids: Collection[str] | None = None, processes: Processes = ALONE
) -> tuple[list[RunFolder], list[tuple[Path, str]]]:
    """Every run under `runs_dir`, sorted by run id, and (path, reason) for whatever could not be read.

    A missing `runs_dir` is an empty one. Entries that aren't named like a run id are none of our business.

    Args:
        run_ids: only these; None takes all.
        processes: share the reading.
    """
    folders: list[RunFolder] = []
    damaged: list[tuple[Path, str]] = []
    if is_packed(runs_dir):
        from gptexp.runs.packed import read_packed

        for folder in read_packed(runs_dir, run_ids):
            try:
                check_folder(folder)
                folders.append(folder)
            except ValueError as error:
                damaged.append((folder.path, str(error)))
        return folders, damaged
    names: list[str] = []
    for entry in list_runs_folder(runs_dir):
        path = runs_dir / entry.name
        if not RUN_ID.fullmatch(entry.name) or entry.kind not in ("folder", "link"):
            continue
        if run_ids is not None and entry.name not in run_ids:
            continue
        if entry.kind == "link":
            damaged.append((path, "it is a link, and links are not followed here"))
            continue
        names.append(entry.name)
    parts = [names[first : first + READ_AT_ONCE] for first in range(0, len(names), READ_AT_ONCE)]
    with without_collector():
        for found, refused in processes.map(partial(_read_part, runs_dir), parts):
            folders += found
            damaged += refused
    return folders, damaged


def _read_part(runs_dir: Path, names: Sequence[str]) -> tuple[list[RunFolder], list[tuple[Path, str]]]:
    """`read_run_folders` of some folders of runs."""
    folders: list[RunFolder] = []
    damaged: list[tuple[Path, str]] = []
    with without_collector():
        for name in names:
            path = runs_dir / name
            try:
                folder = read_run_folder(path)
            except (OSError, ValueError) as error:
                damaged.append((path, explain(error) if isinstance(error, OSError) else str(error)))
                continue
            folders.append(folder)
            damaged.extend((path, problem) for problem in folder.problems)
    return folders, damaged


def wake() -> None:
    """What a process that reads folders does first: import this module."""


def current_members(folders: Iterable[RunFolder]) -> list[dict[str, Any]]:
    """The membership lines that count, each with its `run_id` and its `variant` as an object, oldest first.

    Of a study instance (study, scale, variant) only the newest definition counts, and of the same arm and seed in
    it only the newest line: what an edited study file no longer contains drops out, whatever runs it left behind.
    Variants are as they may be published: a corpus without its folders.
    """
    placed = [
        ((line["asked_at"], folder.started_at, folder.run_id), {**line, "run_id": folder.run_id})
        for folder in folders
        for line in folder.members
    ]
    rows = publish_variants([row for _, row in sorted(placed, key=lambda pair: pair[0])])
    instances = [instance_of(row) for row in rows]
    newest = {instance: row["definition"] for instance, row in zip(instances, rows, strict=True)}
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for instance, row in zip(instances, rows, strict=True):
        if row["definition"] == newest[instance]:
            latest[(*instance, row["arm"], row["seed"])] = row
    kept = {id(row) for row in latest.values()}
    return [row for row in rows if id(row) in kept]


def instance_of(member: dict[str, Any]) -> tuple[str, str, str]:
    """(study, scale, variant as canonical JSON text)."""
    variant = json.dumps(member.get("variant") or {}, sort_keys=True, separators=(",", ":"))
    return member["study"], member["scale"], variant
