"""The durable record: records.jsonl, appended line by line."""

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
        """Open the log; everything after its first `keep_bytes` is cut off (it is about to be computed again).

        Raises:
            DiskError: the file can't be opened or cut.
            ValueError: the file has no `keep_bytes`, or they don't end with a line. It is as it was.
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
        """Cut the file to what it holds of `n_bytes`, never up: what was never written can't be kept."""
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
        """Of all that was logged, as it was meant: not read back from the disk."""
        return FileSum(self.size, self._hash.hexdigest())

    def log(self, record: Record) -> None:
        """Append one record.

        Raises:
            DiskError: the line could not be written whole; what of it reached the disk is taken back.
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
        """Make all records last through a loss of power.

        Raises:
            DiskError: the disk refused.
        """
        with disk_errors(self._path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; records already logged stay."""
        os.close(self._descriptor)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log as dicts with their `kind`, oldest first; a torn or damaged line is passed over.

    Which lines are damaged is told with the config.json beside the log (`gptexp.records`).

    Raises:
        OSError: the file is there and can't be read.
    """
    return iter(scan_records(path)[0])


def read_typed_records(path: Path) -> list[Record]:
    """`read_records` as the dataclasses that were logged; one of other types is passed over."""
    typed = []
    for fields in read_records(path):
        with contextlib.suppress(ValueError):
            typed += type_records([fields])
    return typed


def type_records(records: list[dict[str, Any]]) -> list[Record]:
    """Records as the dataclasses that were logged.

    Raises:
        ValueError: a field holds something else than it should.
    """
    for fields in records:
        check_fields(fields, RECORD_TYPES[fields["kind"]], f"a record of step {fields['step']}")
    return [RECORD_TYPES[fields["kind"]](**{k: v for k, v in fields.items() if k != "kind"}) for fields in records]


def scan_records(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """`read_records`, and the numbers of damaged lines.

    A torn last line is how a killed process leaves its log: it is no damage. A missing file is an empty one.
    """
    return parse_records(read_log(path), RunDir(path.parent).read_format())


def read_log(path: Path, within: Path | None = None) -> bytes:
    """The content of a record log; a missing file is an empty one.

    Raises:
        OSError: the file is there and can't be read.
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
