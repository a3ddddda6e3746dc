"""The kinds of values that config fields accept, for sweep files, parameter files and command lines."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from gptexp.config import RunConfig, holds_text, read_value
from gptexp.identity import canonical_json

SCALE = "scale"
"""Not a config field but a set of them; parameter files, command lines and sweeps use it like a field."""
Kind = Literal["whole number", "number", "switch", "word", "text", "list"]


def flat_key(name: str) -> str:
    """The config field that a key names: the last part of a dotted key, with dashes replaced by underscores."""
    return name.strip().rpartition(".")[2].replace("-", "_")


def is_field(name: str) -> bool:
    """Whether `name` is a config field or `scale`."""
    return name == SCALE or name in RunConfig.model_fields


def is_text(name: str) -> bool:
    """Whether the field's value is text, so that it must not be parsed as a number."""
    return name == SCALE or holds_text(name)


def read_field(name: str, value: Any) -> Any:
    """The value of an existing field as read from a file. YAML reads 1e-4 (without a point) as text; it is parsed as a
    number unless the field is text."""
    return read_value(name, value) if isinstance(value, str) and name != SCALE else value


def kind_of(name: str) -> Kind:
    """The kind of values that the field accepts, apart from None."""
    if is_text(name):
        return "text"
    types_of = set(_types(RunConfig.model_fields[name].annotation))
    order: tuple[tuple[type, Kind], ...] = (
        (tuple, "list"),
        (bool, "switch"),
        (float, "number"),
        (int, "whole number"),
        (str, "word"),
    )
    return next(kind for type_, kind in order if type_ in types_of)


def identify(name: str, value: Any) -> str:
    """A text that is equal for values that the field treats as equal, such as 1 and 1.0. A value that the field refuses
    is equal only to itself."""
    # In Python True == 1, but here a boolean is no number.
    if name == SCALE or not takes(name, value) or (isinstance(value, bool) and kind_of(name) != "switch"):
        return canonical_json(value)
    return canonical_json(_adapter(name).dump_python(_adapter(name).validate_python(value), mode="json"))


def takes(name: str, value: Any) -> bool:
    """Whether the config field accepts the value by itself, regardless of other fields."""
    try:
        _adapter(name).validate_python(value)
    except ValidationError:
        return False
    return True


@functools.cache
def _adapter(name: str) -> TypeAdapter[Any]:
    field = RunConfig.model_fields[name]
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(annotation)


def _types(annotation: Any) -> Iterator[type]:
    origin = get_origin(annotation)
    if origin is Literal:
        yield from {type(word) for word in get_args(annotation)}
    elif origin is Annotated:
        yield from _types(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _types(part)
    else:
        yield origin or annotation
