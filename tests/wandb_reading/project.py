"""Puts run folders into the loopback server as the tracker mirrors them, without the seconds that the client takes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gptexp.mirrors.wandb_rows import copy_files, copy_result, make_row
from gptexp.records import RECORD_TYPES, encode_floats
from gptexp.runs.frames import Frames
from gptexp.tracking.run_dir import MirrorPlace, RunDir
from gptexp.tracking.run_log import read_records
from tests.loopback.store import Store, StoredRun

ENTITY, PROJECT = "tester", "studies"


def mirror_run(store: Store, folder: Path, *, name: str | None = None, rows: int | None = None) -> StoredRun:
    """The mirror of a run folder.

    Args:
        name: the id of the W&B run; None takes the run id.
        rows: only so many rows of its history, and no result.
    """
    run_dir = RunDir(folder)
    content = run_dir.read_config()
    members = run_dir.read_members()
    config = {**content["config"], "gptexp": {"run_id": folder.name, "files": copy_files(folder)}}
    mirror = StoredRun(
        ENTITY,
        PROJECT,
        name or folder.name,
        config={key: {"value": value} for key, value in config.items()},
        group=f"{members[0]['study']}/{members[0]['scale']}" if members else None,
        tags=[row["study"] for row in members] + [row["scale"] for row in members],
        created_at=time.time() + len(store.runs) / 1000,
        state="running",
    )
    add_rows(mirror, [make_row(record) for record in typed_records(folder)][:rows])
    result = run_dir.read_result()
    if result is not None and rows is None:
        mirror.summary = {"outcome": result.outcome, "gptexp": {"result": copy_result(result)}}
        mirror.state = "finished"
    store.runs[mirror.place] = mirror
    # As the tracker leaves it behind.
    url = f"{store.base_url}/{ENTITY}/{PROJECT}/runs/{mirror.name}"
    run_dir.write_mirror(MirrorPlace(ENTITY, PROJECT, mirror.name, url, whole=rows is None))
    return mirror


def typed_records(folder: Path) -> list[Any]:
    """The records of a run folder as the tracker gets them."""
    return [RECORD_TYPES[fields.pop("kind")](**fields) for fields in read_records(RunDir(folder).records)]


def add_rows(mirror: StoredRun, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to a history as the service keeps them: strict JSON, whole numbers without a point."""
    start = len(mirror.rows)
    lines = [
        json.dumps(whole_numbers({**encode_floats(dict(row)), "_step": start + n, "_timestamp": time.time()}))
        for n, row in enumerate(rows)
    ]
    mirror.add_rows(start, lines)
    mirror.heartbeat_at = time.time()


def whole_numbers(row: dict[str, Any]) -> dict[str, Any]:
    """1.0 as 1, as JSON comes back from the client."""
    return {key: int(v) if isinstance(v, float) and v.is_integer() else v for key, v in row.items()}


def foreign_run(store: Store, name: str, **config: Any) -> StoredRun:
    """A run that somebody else logged into the same project."""
    run = StoredRun(ENTITY, PROJECT, name, config={key: {"value": value} for key, value in config.items()})
    run.rows = [{"_step": 0, "step": 1, "train_loss": 0.5}]
    store.runs[run.place] = run
    return run


def assert_same_frames(local: Frames, read: Frames) -> None:
    """Cell for cell, types included."""
    for name in ("runs", "members", "steps", "evals", "samples", "events", "metrics", "damaged"):
        pd.testing.assert_frame_equal(getattr(read, name), getattr(local, name), check_exact=True, obj=name)
