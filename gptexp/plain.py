"""Parses JSON from untrusted files with limits on nesting and numbers, and checks its types against dataclasses."""

from __future__ import annotations

import functools
import json
import math
import types
import typing
from typing import Any

DEEPEST = 32
"""Accepted levels of nested objects and lists. gptexp's own files have four."""
LARGEST = 2**63 - 1
"""The largest accepted absolute value of an integer: tables hold 64-bit integers."""


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: it is not JSON, or holds something that gptexp never writes: bare NaN or Infinity, numbers beyond 64
            bits, or too deep nesting.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        _check(value, DEEPEST)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number")


def _check(value: Any, depth: int) -> None:
    if isinstance(value, dict | list):
        if not depth:
            raise ValueError("it is nested too deeply")
        for content in value.values() if isinstance(value, dict) else value:
            _check(content, depth - 1)
    elif (isinstance(value, int) and abs(value) > LARGEST) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("a number in it is beyond 64 bits")


def check_fields(fields: dict[str, Any], cls: type, where: str) -> None:
    """Check that the fields have the types that the dataclass `cls` declares. Missing fields are accepted.

    Raises:
        ValueError: a field has another type; the message begins with `where`.
    """
    for name, kind in _hints(cls).items():
        # Class variables (such as `kind`) are not fields.
        if typing.get_origin(kind) is not typing.ClassVar and name in fields and not fits(fields[name], kind):
            raise ValueError(f"{where} is damaged: its {name} is {type(fields[name]).__name__}, expected {_say(kind)}")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def fits(value: Any, kind: Any) -> bool:
    """Whether JSON-like data has a declared type. An integer also counts as a float."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list) and all(fits(content, parts[0]) for content in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(content, parts[1]) for content in value.values())
    if kind is Any:
        return not isinstance(value, dict | list)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _say(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)) if typing.get_origin(kind) is None else str(kind)
