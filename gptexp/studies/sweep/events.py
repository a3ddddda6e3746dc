"""The lines of a sweep's journal: their fields, and the checksum of each line."""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

CREATE_STUDY, NOTE_STUDY, CREATE_TRIAL, END_TRIAL, REPORT, NOTE_TRIAL = 0, 2, 4, 6, 7, 8
"""Codes of Optuna's operations in its journal format."""
SUM = b',"sum":"'
DIGITS = 12


class DamagedLine(Exception):
    """A line is not a valid event; the message says why."""


class LostTrial(DamagedLine):
    """An intact line about a trial that can't be identified, because the line that created it is damaged."""


def _read_time(text: str) -> str:
    datetime.datetime.fromisoformat(text)
    return text


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    worker_id: str


class _TrialLine(_Line):
    trial_id: Annotated[int, Field(ge=0)]
    """Optuna's number of the trial: the number of trials created by earlier lines."""
    trial: str | None = None
    """`name_line` of the line that created the trial; None in lines of earlier versions."""


class _Attributes(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    place: Annotated[int, Field(ge=1)]
    # The pattern matters because the session becomes part of a file name.
    session: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    settings: dict[str, Any]


class _End(BaseModel):
    model_config = ConfigDict(strict=True)
    state: Literal["completed", "diverged", "pruned", "failed"]
    run_id: str | None = None
    detail: str = ""
    last_step: int | None = None
    duration_s: float | None = None


class _Note(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    end: _End | None = None
    session: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = None


class CreateStudy(_Line):
    op_code: Literal[0]
    study_name: str
    directions: list[int]


class CreateTrial(_Line):
    op_code: Literal[4]
    study_id: Annotated[int, Field(ge=0)]
    sweep: str | None = None
    """The key of its sweep; None in lines of earlier versions."""
    state: Literal[0]
    datetime_start: Annotated[str, AfterValidator(_read_time)]
    params: dict[str, Any]
    distributions: dict[str, str]
    user_attrs: _Attributes


class EndTrial(_TrialLine):
    op_code: Literal[6]
    state: Literal[1, 2, 3]
    values: Annotated[list[float], Field(min_length=1, max_length=1)] | None
    datetime_complete: Annotated[str, AfterValidator(_read_time)]


class Report(_TrialLine):
    op_code: Literal[7]
    step: Annotated[int, Field(ge=1)]
    intermediate_value: float


class NoteTrial(_TrialLine):
    op_code: Literal[8]
    user_attr: _Note


Event = CreateStudy | CreateTrial | EndTrial | Report | NoteTrial
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="op_code")])


def encode_line(log: dict[str, Any]) -> bytes:
    """Encode an operation as a line with its checksum."""
    text = json.dumps(log, separators=(",", ":")).encode()
    return text[:-1] + SUM + _hash(text) + b'"}\n'


def decode_line(line: bytes) -> tuple[Event, dict[str, Any]]:
    """The event of a line, validated, and the same line as a dict for Optuna.

    Raises:
        DamagedLine: the line is not an event, or its checksum doesn't match.
    """
    if b"\0" in line:
        raise DamagedLine("holds zero bytes")
    try:
        log = json.loads(line)
    except (ValueError, RecursionError):
        raise DamagedLine("is cut off or overwritten") from None
    text, is_checked, digits = line.rstrip(b"\n").rpartition(SUM)
    if is_checked and digits != _hash(text + b"}") + b'"}':
        raise DamagedLine("does not have the checksum that it names")
    try:
        return _EVENT.validate_python(log), log
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        what = f"{where}: " if where else ""
        message = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
        raise DamagedLine(f"is no event of a sweep ({what}{message[:120]})") from None


def name_line(line: bytes) -> str:
    """The name by which later lines refer to the trial that this line creates: a hash of the line."""
    return _hash(line).decode()


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest()[:DIGITS].encode()
