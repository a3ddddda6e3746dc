"""What a config field takes, for all that is read from sweep files, parameter files and command lines."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from gptexp.config import RunConfig, canonical_json, parse_value

SCALE = "scale"
"""No config field, but a set of them: parameter files, command lines and sweeps name it like one."""
Kind = Literal["whole number", "number", "switch", "word", "text", "list"]


def flat_key(name: str) -> str:
    """The field that a key names: the last part of a dotted one, with underscores for dashes."""
    return name.strip().rpartition(".")[2].replace("-", "_")


def is_field(name: str) -> bool:
    """Whether `name` can be given: a config field, or `scale`."""
    return name == SCALE or name in RunConfig.model_fields


def is_text(name: str) -> bool:
    """Whether the field takes a text as it is."""
    return name == SCALE or RunConfig.model_fields[name].annotation is str


def read_field(name: str, value: Any) -> Any:
    """A value as a file holds it, for a field that there is: YAML reads 1e-4 (no point) as a text, which is a number
    where the field isn't a text."""
    return parse_value(value) if isinstance(value, str) and not is_text(name) else value


def kind_of(name: str) -> Kind:
    """What the field takes; None, where it takes that too, aside."""
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
    """A text that is the same for values that are the same to the field, such as 1 and 1.0 of a number; a value that
    the field refuses is only equal to itself."""
    # Python counts with True and False; no number is a switch.
    if name == SCALE or not takes(name, value) or (isinstance(value, bool) and kind_of(name) != "switch"):
        return canonical_json(value)
    return canonical_json(_adapter(name).dump_python(_adapter(name).validate_python(value), mode="json"))


def takes(name: str, value: Any) -> bool:
    """Whether the config field can have the value at all, whatever the others are."""
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
