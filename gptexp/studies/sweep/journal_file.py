"""The journal file of a sweep, as a storage backend for Optuna that tolerates damaged lines and parallel processes.

Optuna numbers trials by counting the lines that create them, so after a lost line every later result would go to the
wrong trial. Here each line names its trial by a hash. A result whose trial can't be identified is ignored; the trial is
then resumed, and answered from the records of its run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from optuna.distributions import json_to_distribution
from optuna.storages.journal import BaseJournalBackend

from gptexp.errors import GptexpError
from gptexp.files import LARGEST_LOG, append_bytes, disk_errors, exists, explain, lock_file, open_file, size_of
from gptexp.files.errors import DiskError
from gptexp.studies.sweep.events import (
    CREATE_STUDY,
    CREATE_TRIAL,
    NOTE_STUDY,
    CreateStudy,
    CreateTrial,
    DamagedLine,
    LostTrial,
    decode_line,
    encode_line,
    name_line,
)

if TYPE_CHECKING:
    from gptexp.studies.sweep.trial import Sweep

LONGEST_LINE = 2**24
NOTHING = {"op_code": NOTE_STUDY, "worker_id": "", "study_id": -1, "user_attr": {"": ""}}
"""An operation on a study that doesn't exist, which Optuna ignores. Every line must give Optuna one operation."""


@dataclass
class _Reading:
    """The state after reading some lines of the file."""

    offset: int = 0
    lines: int = 0
    logs: int = 0
    """Number of operations given to Optuna: one that creates the study, then one per line."""
    studies: list[str] = field(default_factory=list)
    """Keys of the sweeps in the file, in the order of their lines."""
    made: list[int | None] = field(default_factory=list)
    """For each line that creates a trial: the trial's number in this sweep; None if it belongs to another sweep."""
    names: dict[str, int | None] = field(default_factory=dict)
    """The same, by the name (hash) of the line."""
    ours: list[tuple[str, int]] = field(default_factory=list)
    """For each trial of this sweep: the name of its line, and the number of trials that the file created before it."""
    sure: tuple[int, int] | None = None
    """Numbers of studies and trials before the first damaged line; later ones can't be identified by counting."""
    damage: list[str] = field(default_factory=list)
    lost: int = 0
    """Number of intact lines about trials that can't be identified because of damaged lines."""


class JournalFile(BaseJournalBackend):
    """Optuna's storage backend for one sweep, in a file that may also hold other sweeps."""

    def __init__(self, path: Path, sweep: Sweep) -> None:
        """Prepare the file's lock; the file itself is created by the first `append_logs`.

        Raises:
            DiskError: the folder can't be written.
        """
        self.path = path
        self._sweep = sweep
        self._lock = lock_file(path.with_name(f"{path.name}.appending"), path.parent)
        self._expected = {p.name: p.to_distribution() for p in sweep.file.parameters}
        self._reading = _Reading()

    @property
    def damage(self) -> list[str]:
        """One sentence per damaged line so far, and one for the intact lines that can't be used because of them."""
        lost = self._reading.lost
        about = f"{self.path}, {lost:,} whole {'line' if lost == 1 else 'lines'} about trials that damage hides"
        return [*self._reading.damage, *([about] if lost else [])]

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Optuna's operations from a number on; operation 0 creates the study.

        Raises:
            GptexpError: the file can't be read, or is shorter than before.
        """
        if log_number_from < self._reading.logs:
            self._reading = _Reading()
        for log in self._read_on():
            if self._reading.logs > log_number_from:
                yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations, one per line, and sync them to disk.

        Raises:
            DiskError: they could not be written.
        """
        lines = [encode_line(log) for log in self._to_file(logs)]
        if not lines:
            return
        data = b"".join(lines)
        with disk_errors(self.path), self._lock:
            before = self._cut_half_line()
            append_bytes(self.path, data)
            if size_of(self.path) != before + len(data):
                raise DiskError(f"no space left on the disk for {self.path}; free some and run the same command again")

    def _read_on(self) -> Iterator[dict[str, Any]]:
        reading = self._reading
        if reading.logs == 0:
            reading.logs = 1
            yield self._describe_study("")
        if not exists(self.path):
            return
        try:
            file = os.fdopen(open_file(self.path), "rb")
        except OSError as error:
            raise GptexpError(f"{self.path} can't be read: {explain(error)}") from None
        with file:
            size = os.fstat(file.fileno()).st_size
            if not reading.offset <= size <= LARGEST_LOG:
                what = "has become shorter" if size < reading.offset else f"has {size / 2**20:,.0f} MiB"
                raise GptexpError(
                    f"{self.path} {what}, so it is no journal any more; move it away: runs stay as they are"
                )
            file.seek(reading.offset)
            while (line := _read_line(file)) is not None:
                reading.offset = file.tell()
                reading.lines += 1
                reading.logs += 1
                yield self._to_optuna(line)

    def _describe_study(self, worker: str) -> dict[str, Any]:
        direction = 1 if self._sweep.file.metric.goal == "minimize" else 2
        return {
            "op_code": CREATE_STUDY,
            "worker_id": worker,
            "study_name": self._sweep.key,
            "directions": [direction],
        }

    def _to_optuna(self, line: bytes) -> dict[str, Any]:
        """The operation of a line, with Optuna's numbers of study and trial; NOTHING if it isn't about this sweep."""
        reading = self._reading
        try:
            if len(line) > LONGEST_LINE:
                raise DamagedLine(f"has more than {LONGEST_LINE:,} bytes")
            event, log = decode_line(line)
            if isinstance(event, CreateStudy):
                if event.study_name not in reading.studies:
                    reading.studies.append(event.study_name)
                return NOTHING
            if isinstance(event, CreateTrial):
                return self._make_trial(event, log, name_line(line))
            return self._find_trial(event.trial, event.trial_id, log)
        except DamagedLine as damage:
            if reading.sure is None:
                reading.sure = (len(reading.studies), len(reading.made))
            if isinstance(damage, LostTrial):
                reading.lost += 1
            else:
                reading.damage.append(f"{self.path}, line {reading.lines:,}, {damage}")
            return NOTHING

    def _make_trial(self, event: CreateTrial, log: dict[str, Any], name: str) -> dict[str, Any]:
        reading = self._reading
        sweep = event.sweep
        if sweep is None:
            if event.study_id >= (len(reading.studies) if reading.sure is None else reading.sure[0]):
                raise LostTrial
            sweep = reading.studies[event.study_id]
        if name in reading.names:
            raise DamagedLine("is there twice")
        number = None
        if sweep == self._sweep.key:
            self._check_settings(log)
            number = len(reading.ours)
            reading.ours.append((name, len(reading.made)))
        reading.names[name] = number
        reading.made.append(number)
        return NOTHING if number is None else {**log, "study_id": 0}

    def _check_settings(self, log: dict[str, Any]) -> None:
        """Check that a new trial belongs to this sweep.

        Raises:
            DamagedLine: its parameters are outside the sweep's space, or its settings don't match its parameters.
        """
        try:
            found = {name: json_to_distribution(text) for name, text in log["distributions"].items()}
            drawn = {name: self._expected[name].to_external_repr(value) for name, value in log["params"].items()}
            fits = found == self._expected and log["user_attrs"]["settings"] == self._sweep.to_settings(drawn)
        except Exception:
            # Optuna doesn't validate these values and may raise any error.
            fits = False
        if not fits:
            raise DamagedLine("makes a trial that is not of its sweep")

    def _find_trial(self, name: str | None, position: int, log: dict[str, Any]) -> dict[str, Any]:
        reading = self._reading
        if name is None:
            if position >= (len(reading.made) if reading.sure is None else reading.sure[1]):
                raise LostTrial
            number = reading.made[position]
        elif name in reading.names:
            number = reading.names[name]
        else:
            raise LostTrial
        return NOTHING if number is None else {**log, "trial_id": number}

    def _to_file(self, logs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Optuna's operations as lines of the file: with its numbers as in an undamaged file, and with trial names."""
        reading = self._reading
        key = self._sweep.key
        for log in logs:
            if log["op_code"] == CREATE_TRIAL:
                if key not in reading.studies:
                    yield self._describe_study(log["worker_id"])
                known = [*reading.studies, key]
                yield {**log, "study_id": known.index(key), "sweep": key}
            elif "trial_id" in log:
                name, position = reading.ours[log["trial_id"]]
                yield {**log, "trial_id": position, "trial": name}

    def _cut_half_line(self) -> int:
        """Remove an incomplete last line, left by a killed process or a full disk; returns the new size in bytes."""
        if not exists(self.path):
            return 0
        with os.fdopen(open_file(self.path, flags=os.O_RDWR), "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            end = size
            while end > 0:
                start = max(0, end - LONGEST_LINE)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                end = start + found + 1
                if found >= 0:
                    break
            if end < size:
                file.truncate(end)
            return end


def _read_line(file: BinaryIO) -> bytes | None:
    """The next complete line, cut after `LONGEST_LINE` + 1 bytes; None if there is no complete line yet."""
    line = file.readline(LONGEST_LINE + 1)
    part = line
    while part and not part.endswith(b"\n"):
        part = file.readline(LONGEST_LINE)
    return line if part else None
