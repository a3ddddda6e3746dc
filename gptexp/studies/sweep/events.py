"""The lines of a sweep's journal: what each may say, and how it shows that it says what was written."""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

CREATE_STUDY, NOTE_STUDY, CREATE_TRIAL, END_TRIAL, REPORT, NOTE_TRIAL = 0, 2, 4, 6, 7, 8
"""Optuna's operations, as its journals number them."""
SUM = b',"sum":"'
DIGITS = 12


class DamagedLine(Exception):
    """A line that is no event; the message says what is wrong with it."""


class LostTrial(DamagedLine):
    """A whole line, about a trial that another line hides."""


def _read_time(text: str) -> str:
    datetime.datetime.fromisoformat(text)
    return text


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    worker_id: str


class _TrialLine(_Line):
    trial_id: Annotated[int, Field(ge=0)]
    """Optuna's, which counts the lines before."""
    trial: str | None = None
    """What `name_line` calls the line that made the trial; lines of earlier versions lack it."""


class _Attributes(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    place: Annotated[int, Field(ge=1)]
    # It names a lock file.
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
    """The key of its sweep; lines of earlier versions lack it."""
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
    """A line with its checksum."""
    text = json.dumps(log, separators=(",", ":")).encode()
    return text[:-1] + SUM + _hash(text) + b'"}\n'


def decode_line(line: bytes) -> tuple[Event, dict[str, Any]]:
    """The event that a line tells, checked and as Optuna takes it.

    Raises:
        DamagedLine: it is none, or not the one that was written.
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
    """What later lines call the trial that this line makes."""
    return _hash(line).decode()


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest()[:DIGITS].encode()
