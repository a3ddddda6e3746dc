"""The file of a sweep's journal, as Optuna's storage takes it: read around damaged lines, shared by processes.

Optuna numbers trials by counting the lines that make them, so a lost line would give every later result to another
trial. Here a line says by name which trial it is about, and a result that can't be told apart is left out: its trial is
taken up again, and answered from the record of its run.
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
"""An operation on a study that isn't there, which Optuna passes over: every line has to give it one."""


@dataclass
class _Reading:
    """What the lines so far have said."""

    offset: int = 0
    lines: int = 0
    logs: int = 0
    """Operations that Optuna was given: one for each line, and before them the study."""
    studies: list[str] = field(default_factory=list)
    """Sweeps of the file, in the order of their lines."""
    made: list[int | None] = field(default_factory=list)
    """For each line that makes a trial, our trial's number, or None for another sweep's."""
    names: dict[str, int | None] = field(default_factory=dict)
    """The same by the name of the line."""
    ours: list[tuple[str, int]] = field(default_factory=list)
    """For each of our trials, the name of its line, and how many trials the file made before."""
    sure: tuple[int, int] | None = None
    """Studies and trials that were there before the first damaged line: only they can be told by counting."""
    damage: list[str] = field(default_factory=list)
    lost: int = 0
    """Whole lines about trials that those hide."""


class JournalFile(BaseJournalBackend):
    """The trials of one sweep in a file that may hold those of others, too."""

    def __init__(self, path: Path, sweep: Sweep) -> None:
        """Raises:
        DiskError: the folder can't be written.
        """
        self.path = path
        self._sweep = sweep
        self._lock = lock_file(path.with_name(f"{path.name}.appending"), path.parent)
        self._expected = {p.name: p.to_distribution() for p in sweep.file.parameters}
        self._reading = _Reading()

    @property
    def damage(self) -> list[str]:
        """A sentence for every damaged line so far, and one for what went with them."""
        lost = self._reading.lost
        about = f"{self.path}, {lost:,} whole {'line' if lost == 1 else 'lines'} about trials that damage hides"
        return [*self._reading.damage, *([about] if lost else [])]

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The operations from a number on, in Optuna's terms; the first one makes the study.

        Raises:
            GptexpError: the file can't be read, or is shorter than before.
        """
        if log_number_from < self._reading.logs:
            self._reading = _Reading()
        for log in self._read_on():
            if self._reading.logs > log_number_from:
                yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations, each in a line, and make them last.

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
        """The operation of a line, its study and trial as Optuna counts them; NOTHING for what isn't ours."""
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
        """Raises:
        DamagedLine: the trial's draws aren't from the sweep's space, or its settings aren't those of its draws.
        """
        try:
            found = {name: json_to_distribution(text) for name, text in log["distributions"].items()}
            drawn = {name: self._expected[name].to_external_repr(value) for name, value in log["params"].items()}
            fits = found == self._expected and log["user_attrs"]["settings"] == self._sweep.to_settings(drawn)
        except Exception:
            # Optuna checks none of it, and fails in its own ways.
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
        """Operations of Optuna with study and trial as a file counts them that has no damage, and by name."""
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
        """Cut off a last line that a killed process, or a full disk, left half-written. Returns the size then."""
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
    """The next whole line, a long one without its end; None where there is none yet."""
    line = file.readline(LONGEST_LINE + 1)
    part = line
    while part and not part.endswith(b"\n"):
        part = file.readline(LONGEST_LINE)
    return line if part else None
