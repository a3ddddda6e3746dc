"""The run directory: `runs/<run id>/`, the truth about one run.

config.json       the resolved config and what it was resolved against
provenance.jsonl  one line per process that worked on the run
members.jsonl     one line per study that asked for the run
records.jsonl     steps, evaluations, samples, events, in order
checkpoints/      weights and optimizer state
result.json       written last, atomically: it alone means done
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.errors import GptexpError
from gptexp.files import disk_errors, write_atomic
from gptexp.records import decode_float, encode_float

RUN_ID = re.compile(r"[0-9a-f]{12}")

DONE = ("completed", "diverged")
"""Outcomes that need no further work."""


@dataclass(frozen=True)
class Result:
    """How a run ended. Losses in nats per token; None where there was nothing to measure."""

    run_id: str
    outcome: str
    """completed, diverged, interrupted or failed."""
    outcome_detail: str
    last_step: int
    final_train_loss: float | None
    """Mean of the last 10 train losses."""
    final_val_loss: float | None
    final_val_bpb: float | None
    best_val_loss: float | None
    best_val_step: int | None
    initial_val_loss: float | None
    diverged_step: int | None
    diverged_where: str | None
    clipped_fraction: float | None
    max_grad_norm: float | None
    tokens_seen: int
    duration_s: float
    """Seconds of work, summed over all processes that worked on the run."""
    peak_memory_mib: float | None
    finished_at: str
    """ISO 8601, UTC."""


@dataclass(frozen=True)
class RunDir:
    """The files of one run. Nothing is read or written before a method is called."""

    path: Path

    @property
    def records(self) -> Path:
        return self.path / "records.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def members(self) -> Path:
        return self.path / "members.jsonl"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.jsonl"

    def write_config(self, resolved: dict[str, Any]) -> None:
        """Store what the run id was made from.

        Raises:
            DiskError: it could not be written.
        """
        write_atomic(self.path / "config.json", json.dumps(resolved, indent=2, sort_keys=True) + "\n")

    def read_config(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
            ValueError: it is damaged; FileNotFoundError: it isn't there.
        """
        return read_object(self.path / "config.json")

    def write_result(self, result: Result) -> None:
        """Mark the run as ended.

        Raises:
            DiskError: it could not be written.
        """
        fields = {name: encode_float(value) for name, value in dataclasses.asdict(result).items()}
        write_atomic(self.path / "result.json", json.dumps(fields, indent=2, allow_nan=False) + "\n")

    def read_result(self) -> Result | None:
        """The result, or None while the run is unfinished.

        Raises:
            ValueError: result.json is damaged.
        """
        try:
            fields = read_object(self.path / "result.json")
        except FileNotFoundError:
            return None
        try:
            return Result(**{name: decode_float(value) for name, value in fields.items()})
        except TypeError as error:
            raise ValueError(f"result.json has other fields than expected: {error}") from None

    def is_done(self) -> bool:
        """Whether there is a readable result that needs no further work."""
        try:
            result = self.read_result()
        except ValueError:
            return False
        return result is not None and result.outcome in DONE

    def append_member(self, row: dict[str, Any]) -> None:
        """Note that a study asked for this run; the same row as the last of its study is not repeated."""
        same = {key: value for key, value in row.items() if key != "asked_at"}
        for old in reversed(self.read_members()):
            if all(old.get(key) == row[key] for key in ("study", "scale", "variant", "arm", "seed")):
                if {key: value for key, value in old.items() if key != "asked_at"} == same:
                    return
                break
        append_line(self.members, row)

    def read_members(self) -> list[dict[str, Any]]:
        """All readable rows, oldest first."""
        return read_lines(self.members)


def find_run(runs_dir: Path, run_id: str) -> RunDir:
    """The run whose id is `run_id` or is the only one that starts with it.

    Raises:
        GptexpError: there is none, or there are several.
    """
    ids = sorted(path.name for path in runs_dir.iterdir() if path.is_dir()) if runs_dir.is_dir() else []
    matches = [name for name in ids if run_id and name.startswith(run_id) and RUN_ID.fullmatch(name)]
    if len(matches) == 1:
        return RunDir(runs_dir / matches[0])
    if matches:
        raise GptexpError(
            f"{run_id!r} fits {len(matches)} runs in {runs_dir}: {', '.join(matches[:5])}; give more digits"
        )
    raise GptexpError(f"there is no run {run_id!r} in {runs_dir}; `gptexp runs list` shows all")


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Append one JSON object as a line, in a single write.

    Raises:
        DiskError: the line could not be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, (json.dumps(row, sort_keys=True) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file of lines; lines that aren't one are passed over, a missing file is empty."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: the file holds something else; FileNotFoundError: it isn't there.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not text: {error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds no object")
    return value
