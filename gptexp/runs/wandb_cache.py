"""Runs that were fetched from W&B, kept as run folders: what reads the local records reads these.

`<cache>/wandb/<project>-<hash of server, entity and project>/<run id>/` holds config.json, members.jsonl,
provenance.jsonl, records.jsonl and result.json, and `mirror.json`, written last: of which W&B run they are the copy,
and how much of its history is in them. Everything that comes from W&B was written by strangers: of it, only run ids
name files here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.data.corpus import cache_dir
from gptexp.files import LARGEST_LOG, disk_errors, read_bytes, remove_file, remove_tree, write_atomic
from gptexp.identity import short_hash
from gptexp.mirrors.wandb_rows import FILES, read_rows
from gptexp.records import encode_fields
from gptexp.tracking.lines import read_object
from gptexp.tracking.run_dir import RUN_ID, MirrorPlace, RunDir
from gptexp.tracking.run_log import read_records

MIRROR = "mirror.json"
FORMAT = 2
"""Goes up when a cached run of an older gptexp must be fetched anew."""


@dataclass(frozen=True)
class MirrorState:
    """Which W&B run a cached folder copies, and how far. Equal states mean that there is nothing new."""

    name: str
    """The id of the run in W&B; a sweep chooses its own."""
    created_at: str
    heartbeat_at: str
    lines: int
    """Rows in its history."""
    last_step: int
    """W&B's own `_step` of the newest row, -1 without rows."""
    format: int = FORMAT

    def is_begun_by(self, newer: MirrorState) -> bool:
        """Whether `newer` is the same W&B run with these rows and perhaps more. Histories there only grow."""
        same = (self.name, self.created_at) == (newer.name, newer.created_at)
        return same and self.lines <= newer.lines and self.last_step <= newer.last_step


@dataclass(frozen=True)
class RunCache:
    """The cached runs of one project."""

    path: Path

    @classmethod
    def of_project(cls, base_url: str, entity: str, project: str) -> RunCache:
        """The cache of a project on a server. Nothing is written."""
        name = re.sub(r"[^A-Za-z0-9_-]", "-", f"{entity}-{project}")[:64]
        return cls(cache_dir() / "wandb" / f"{name}-{short_hash([base_url, entity, project])}")

    @property
    def scratch(self) -> Path:
        """Where the W&B client may put what it makes along the way."""
        return self.path / ".client"

    def read_state(self, run_id: str) -> MirrorState | None:
        """How far a run is cached; None where it is not, or not by this version of gptexp."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            state = MirrorState(**read_object(self._folder(run_id) / MIRROR, self.path))
            return state if state.format == FORMAT else None
        return None

    def update(
        self,
        run_id: str,
        files: dict[str, str],
        result: str | None,
        state: MirrorState,
        place: MirrorPlace | None,
        scan: Callable[[int, int], Iterable[dict[str, Any]]],
    ) -> None:
        """Store what W&B holds of a run; only rows that aren't there yet are asked for.

        Args:
            files: texts of `FILES`.
            result: the text of result.json; None while there is none.
            place: of the W&B run.
            scan: the rows of the run's history from a `_step` of W&B on, of which so many are expected.

        Raises:
            DiskError: it could not be written; the run counts as not cached.
        """
        folder, known = RunDir(self._folder(run_id)), self.read_state(run_id)
        records: list[dict[str, Any]] | None = None
        if known != state:
            grown = known if known is not None and known.is_begun_by(state) else None
            rows = scan(grown.last_step + 1, state.lines - grown.lines) if grown else scan(0, state.lines)
            # A live run may have grown since it was listed; what came after that is for the next time.
            listed = (row for row in rows if row.get("_step", 0) <= state.last_step)
            records = read_rows(listed, read_records(folder.records) if grown else ())
            with disk_errors(folder.path):
                remove_file(folder.path / MIRROR, self.path)
        for name, file in FILES.items():
            _write_changed(folder.path / file, files[name], self.path)
        if records is not None:
            lines = [encode_fields(record) + "\n" for record in records]
            _write_changed(folder.records, "".join(lines), self.path)
        if result is None:
            with disk_errors(folder.path):
                remove_file(folder.path / "result.json", self.path)
        else:
            _write_changed(folder.path / "result.json", result, self.path)
        if place:
            folder.write_mirror(place)
        _write_changed(folder.path / MIRROR, json.dumps(dataclasses.asdict(state)), self.path)

    def clear_scratch(self) -> None:
        with contextlib.suppress(OSError):
            remove_tree(self.scratch)

    def _folder(self, run_id: str) -> Path:
        if not RUN_ID.fullmatch(run_id):
            raise ValueError(f"{run_id!r} is no run id")
        return self.path / run_id


def _write_changed(path: Path, text: str, within: Path) -> None:
    # Half of a surrogate pair, which W&B may hand out, stays readable JSON.
    data = text.encode(errors="backslashreplace")
    with contextlib.suppress(OSError):
        if read_bytes(path, within, limit=LARGEST_LOG) == data:
            return
    write_atomic(path, data, within)
