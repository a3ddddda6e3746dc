"""Writes and reads records.jsonl, the append-only log of a run's records."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gptexp.checksums import FileSum
from gptexp.files import LARGEST_LOG, disk_errors, open_file, read_bytes, sync_folder
from gptexp.plain import check_fields
from gptexp.records import FORMAT, RECORD_TYPES, Record, decode_record, encode_record
from gptexp.tracking.run_dir import RunDir


class RunLog:
    """Appends records to a file. Each line goes to the operating system at once, so a killed process loses none."""

    def __init__(self, path: Path, *, keep_bytes: int = 0) -> None:
        """Open the log and truncate it to `keep_bytes`; the steps after them are about to be computed again.

        Raises:
            DiskError: the file can't be opened or truncated.
            ValueError: the file is shorter than `keep_bytes`, or they don't end with a whole line. It is unchanged.
        """
        self._path = path
        self._hash = hashlib.sha256()
        with disk_errors(path):
            self._descriptor = open_file(path, flags=os.O_RDWR | os.O_CREAT, parents=True)
            try:
                self._keep(keep_bytes)
                sync_folder(path.parent)
            except BaseException:
                os.close(self._descriptor)
                raise
        self.size = keep_bytes

    def _keep(self, n_bytes: int) -> None:
        """Truncate the file to `n_bytes`. Never extend it: that would fill it with zero bytes."""
        kept = b""
        if 0 < n_bytes <= os.fstat(self._descriptor).st_size:
            with open(self._descriptor, "rb", closefd=False) as file:
                kept = file.read(n_bytes)
        if len(kept) != n_bytes or (kept and not kept.endswith(b"\n")):
            raise ValueError(f"{self._path} holds no {n_bytes:,} bytes of whole lines to keep")
        self._hash.update(kept)
        os.ftruncate(self._descriptor, n_bytes)
        os.lseek(self._descriptor, 0, os.SEEK_END)

    @property
    def sum(self) -> FileSum:
        """Size and checksum of everything that was logged, computed while writing, not read back from the disk."""
        return FileSum(self.size, self._hash.hexdigest())

    def log(self, record: Record) -> None:
        """Append one record.

        Raises:
            DiskError: the line could not be written completely; the part that was written is removed again.
        """
        line = (encode_record(record) + "\n").encode(errors="replace")
        with disk_errors(self._path):
            try:
                written = 0
                while written < len(line):
                    written += os.write(self._descriptor, line[written:])
            except OSError:
                os.ftruncate(self._descriptor, self.size)
                os.lseek(self._descriptor, 0, os.SEEK_END)
                raise
        self._hash.update(line)
        self.size += len(line)

    def sync(self) -> None:
        """Sync the log to disk, so that all records survive a power loss.

        Raises:
            DiskError: the sync failed.
        """
        with disk_errors(self._path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log as dicts with their `kind`, oldest first. Incomplete and damaged lines are skipped.

    Which lines are damaged is told with the config.json beside the log (`gptexp.records`).

    Raises:
        OSError: the file exists but can't be read.
    """
    return iter(scan_records(path)[0])


def read_typed_records(path: Path) -> list[Record]:
    """`read_records` as dataclasses. Records whose fields have the wrong types are skipped."""
    typed = []
    for fields in read_records(path):
        with contextlib.suppress(ValueError):
            typed += type_records([fields])
    return typed


def type_records(records: list[dict[str, Any]]) -> list[Record]:
    """The dicts of `read_records` as dataclasses.

    Raises:
        ValueError: a field has the wrong type.
    """
    for fields in records:
        check_fields(fields, RECORD_TYPES[fields["kind"]], f"a record of step {fields['step']}")
    return [RECORD_TYPES[fields["kind"]](**{k: v for k, v in fields.items() if k != "kind"}) for fields in records]


def scan_records(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The records of a log as dicts, and the numbers (from 1) of its damaged lines.

    An incomplete last line is no damage: a killed process leaves it. A missing file counts as empty.
    """
    return parse_records(read_log(path), RunDir(path.parent).read_format())


def read_log(path: Path, within: Path | None = None) -> bytes:
    """The content of a record log; a missing file counts as empty.

    Raises:
        OSError: the file exists but can't be read.
    """
    try:
        return read_bytes(path, within, limit=LARGEST_LOG)
    except FileNotFoundError:
        return b""


def parse_records(data: bytes, record_format: int = FORMAT) -> tuple[list[dict[str, Any]], list[int]]:
    """`scan_records` of a log's content; `record_format` is what the run's config.json declares."""
    records: list[dict[str, Any]] = []
    damaged: list[int] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            record = decode_record(line.decode(), record_format)
            records += [record] if record is not None else []
        except ValueError:
            if line.strip() and number < len(lines):
                damaged.append(number)
    return records, damaged
