"""The durable record: records.jsonl, appended line by line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gptexp.files import LARGEST_LOG, disk_errors, open_file, read_bytes
from gptexp.records import RECORD_TYPES, Record, decode_record, encode_record


class RunLog:
    """Appends records to a file. Each line goes to the operating system at once, so a killed process loses none."""

    def __init__(self, path: Path, *, keep_bytes: int = 0) -> None:
        """Open the log; everything after its first `keep_bytes` is cut off (it is about to be computed again).

        Raises:
            DiskError: the file can't be opened or cut.
        """
        self._path = path
        with disk_errors(path):
            self._descriptor = open_file(path, flags=os.O_RDWR | os.O_CREAT, parents=True)
            os.ftruncate(self._descriptor, keep_bytes)
            os.lseek(self._descriptor, 0, os.SEEK_END)
        self.size = keep_bytes

    def log(self, record: Record) -> None:
        """Append one record.

        Raises:
            DiskError: the line could not be written whole; what of it reached the disk is taken back.
        """
        line = (encode_record(record) + "\n").encode()
        with disk_errors(self._path):
            try:
                written = 0
                while written < len(line):
                    written += os.write(self._descriptor, line[written:])
            except OSError:
                os.ftruncate(self._descriptor, self.size)
                os.lseek(self._descriptor, 0, os.SEEK_END)
                raise
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


def read_records(path: Path, *, up_to_bytes: int | None = None) -> Iterator[dict[str, Any]]:
    """The records of a log as dicts with their `kind`, oldest first; a torn or damaged line is passed over.

    Args:
        up_to_bytes: read only this much of the file's beginning.

    Raises:
        OSError: the file is there and can't be read.
    """
    return iter(scan_records(path, up_to_bytes=up_to_bytes)[0])


def read_typed_records(path: Path, up_to_bytes: int | None = None) -> list[Record]:
    """`read_records` as the dataclasses that were logged."""
    return [RECORD_TYPES[fields.pop("kind")](**fields) for fields in read_records(path, up_to_bytes=up_to_bytes)]


def scan_records(path: Path, *, up_to_bytes: int | None = None) -> tuple[list[dict[str, Any]], list[int]]:
    """`read_records`, and the numbers of damaged lines.

    A torn last line is how a killed process leaves its log: it is no damage. A missing file is an empty one.
    """
    try:
        data = read_bytes(path, limit=LARGEST_LOG)[:up_to_bytes]
    except FileNotFoundError:
        return [], []
    records: list[dict[str, Any]] = []
    damaged: list[int] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            records.append(decode_record(line.decode()))
        except ValueError:
            if line.strip() and number < len(lines):
                damaged.append(number)
    return records, damaged
