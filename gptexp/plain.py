"""Parses JSON from untrusted files with limits on nesting and numbers, and checks its types against dataclasses."""

from __future__ import annotations

import functools
import json
import math
import types
import typing
from collections.abc import Callable
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
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        value = _DECODER.decode(text)
        # Most of what is parsed has too few brackets to be nested deeply.
        if text.count("{") + text.count("[") > DEEPEST:
            _check_depth(value, DEEPEST)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number")


def _parse_int(digits: str) -> int:
    value = int(digits)
    if abs(value) > LARGEST:
        raise ValueError("a number in it is beyond 64 bits")
    return value


def _parse_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number in it is beyond 64 bits")
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_parse_int, parse_float=_parse_float)


def _check_depth(value: Any, depth: int) -> None:
    if isinstance(value, dict | list):
        if not depth:
            raise ValueError("it is nested too deeply")
        for content in value.values() if isinstance(value, dict) else value:
            _check_depth(content, depth - 1)


def check_fields(fields: dict[str, Any], cls: type, where: str) -> None:
    """Check that the fields have the types that the dataclass `cls` declares. Missing fields are accepted.

    Raises:
        ValueError: a field has another type; the message begins with `where`.
    """
    for name, kind, is_fit in _checks(cls):
        if name in fields and not is_fit(fields[name]):
            raise ValueError(f"{where} is damaged: its {name} is {type(fields[name]).__name__}, expected {_say(kind)}")


@functools.cache
def _checks(cls: type) -> list[tuple[str, Any, Callable[[Any], bool]]]:
    """Name, type and check of every field; class variables (such as `kind`) are no fields."""
    hints = typing.get_type_hints(cls).items()
    return [(name, kind, _check_for(kind)) for name, kind in hints if typing.get_origin(kind) is not typing.ClassVar]


def fits(value: Any, kind: Any) -> bool:
    """Whether JSON-like data has a declared type. An integer also counts as a float."""
    return _check_for(kind)(value)


_NAMED = {int: (int,), float: (int, float), str: (str,), types.NoneType: (types.NoneType,)}
"""What counts as a plain type; a truth value counts as none of them."""


@functools.cache
def _check_for(kind: Any) -> Callable[[Any], bool]:
    """`fits` for one type, which is taken apart once: a list of ten thousand runs asks half a million times."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if all(part in _NAMED for part in parts):
            some = tuple(one for part in parts for one in _NAMED[part])
            return lambda value: isinstance(value, some) and not isinstance(value, bool)
        first, *others = [_check_for(part) for part in parts]
        return lambda value: first(value) or any(choice(value) for choice in others)
    if origin is list:
        one = _check_for(parts[0])
        return lambda value: isinstance(value, list) and all(map(one, value))
    if origin is dict:
        content = _check_for(parts[1])
        return lambda value: isinstance(value, dict) and all(map(content, value.values()))
    if kind is Any:
        return lambda value: not isinstance(value, dict | list)
    if kind is bool:
        return lambda value: isinstance(value, bool)
    accepted = _NAMED.get(kind, (kind,))
    return lambda value: isinstance(value, accepted) and not isinstance(value, bool)


def _say(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)) if typing.get_origin(kind) is None else str(kind)
