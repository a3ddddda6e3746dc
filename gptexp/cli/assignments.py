"""What `gptexp train` is given, by a person or by a sweep's agent, as config fields.

Where several places speak of one field, the later wins: the scale's defaults, files (`--params FILE`, or a path that
ends in .json), the command line, and last the parameters of the W&B sweep (WANDB_SWEEP_PARAM_PATH), since they are what
W&B shows for the trial.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptexp.config import RunConfig, parse_assignment
from gptexp.errors import GptexpError, did_you_mean, shorten
from gptexp.files import explain, read_user_file
from gptexp.studies.sweep.fields import SCALE, flat_key, is_field, kind_of, read_field


@dataclass
class TrainRequest:
    """What one run is asked to be."""

    overrides: dict[str, Any] = field(default_factory=dict)
    scale: str | None = None
    corpus: str | None = None


def read_request(arguments: Sequence[str], params: Sequence[Path] = (), **options: str | None) -> TrainRequest:
    """What a command line asks for, and the sweep's parameters, as one request.

    Args:
        options: what `--scale` and `--corpus` name.

    Raises:
        GptexpError: an argument that is no assignment, an unknown key, a file that can't be read.
    """
    values = read_arguments(arguments, params, **options)
    if sweep_file := os.environ.get("WANDB_SWEEP_PARAM_PATH"):
        values.update(read_parameters(Path(sweep_file)))
    return make_request(values)


def make_request(values: Mapping[str, Any]) -> TrainRequest:
    """Fields, with `scale` and `corpus` among them, as a request.

    Raises:
        GptexpError: a scale or a corpus that is no text.
    """
    overrides = dict(values)
    named = {name: overrides.pop(name, None) for name in (SCALE, "corpus")}
    for name, value in named.items():
        if value is not None and not isinstance(value, str):
            raise GptexpError(f"{name}={shorten(value)}: expected a text")
    return TrainRequest(overrides, named[SCALE], named["corpus"])


def read_arguments(arguments: Sequence[str], params: Sequence[Path] = (), **options: str | None) -> dict[str, Any]:
    """The fields that arguments, parameter files and the options `--scale` and `--corpus` name.

    An argument is `key=value`, `--key=value`, `--key value`, `--key` alone for a switch that is on, `+key=value` as
    Hydra has it, a JSON object of fields, or the path of a JSON file. Dashes in keys are underscores, and of a dotted
    key the last part counts (`--model.n_layer=4`).

    Raises:
        GptexpError: something else, an unknown key, or a file that can't be read.
    """
    _, words = divide(arguments, {})
    assignments: dict[str, Any] = {}
    files = list(params)
    for word in words:
        if (group := parse_group(word)) is not None:
            assignments.update(flatten(group, "the command line"))
        elif "=" in word:
            assignments.update(read_assignment(word))
        elif word.endswith(".json"):
            files.append(Path(word))
        else:
            raise GptexpError(f"{shorten(word)} is not an assignment; write it as key=value, for example lr=6e-4")
    values: dict[str, Any] = {}
    for path in files:
        values.update(read_parameters(path))
    return {**values, **{name: value for name, value in options.items() if value is not None}, **assignments}


def divide(words: Sequence[str], options: Mapping[str, bool]) -> tuple[list[str], list[str]]:
    """Tell the options of a command from the assignments of fields, each of which is one word afterwards.

    Args:
        options: name, such as `--scale`, -> whether it takes a value.

    Raises:
        GptexpError: an assignment lacks its value.
    """
    own: list[str] = []
    assignments: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, _ = word.partition("=")
        if word == "--":
            return own, assignments + rest
        if name in options:
            own.append(word)
            if options[name] and not equals:
                own += [rest.pop(0)] if rest else []
        elif word.startswith("--") and not equals:
            assignments.append(f"{word}={_take_value(word, rest)}")
        else:
            assignments.append(word)
    return own, assignments


def _take_value(word: str, rest: list[str]) -> str:
    """The value of `--key`, taken from the words behind it; a switch without one is on."""
    key = flat_key(word.removeprefix("--"))
    following = rest[0] if rest else None
    is_value = following is not None and not (following.startswith("-") or "=" in following or ".json" in following)
    if key in RunConfig.model_fields and kind_of(key) == "switch" and not is_value:
        return "true"
    if following is None:
        raise GptexpError(f"{shorten(word)} has no value; write it as {word}=VALUE")
    return rest.pop(0)


def read_assignment(text: str) -> dict[str, Any]:
    """One assignment; a group of fields (`model={"n_layer": 4}`, as an agent writes it) gives several.

    Raises:
        GptexpError: an unknown key.
    """
    name, _, raw = text.lstrip("+").removeprefix("--").partition("=")
    key = flat_key(name)
    if key == SCALE:
        return {key: raw.strip()}
    if key == "set":
        raise GptexpError(f"`gptexp train` takes config fields without --set; write {shorten(raw)} by itself")
    if key not in RunConfig.model_fields and (group := parse_group(raw)) is not None:
        return dict(flatten(group, "the command line"))
    return dict([parse_assignment(f"{key}={raw}")])


def parse_group(raw: str) -> Mapping[str, Any] | None:
    """The mapping that `raw` spells in JSON or, as an agent's `${args}` has it, in Python; None for any other text."""
    import ast

    if not raw.strip().startswith("{"):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(raw.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return value if isinstance(value, Mapping) else None
    return None


def read_parameters(path: Path) -> dict[str, Any]:
    """Fields of a JSON or YAML file: `{key: value}`, or `{key: {value: ...}}` as W&B writes a sweep's parameters.

    Raises:
        GptexpError: it can't be read, holds something else, or an unknown key.
    """
    from gptexp.studies.sweep.notation import read_notation

    try:
        content = read_notation(read_user_file(path).decode())
    except OSError as error:
        raise GptexpError(f"parameter file {path} can't be read: {explain(error)}") from None
    except ValueError as error:
        raise GptexpError(f"parameter file {path} is neither JSON nor YAML: {error}") from None
    except GptexpError as error:
        raise GptexpError(f"parameter file {path}: {error}") from None
    if not isinstance(content, Mapping):
        raise GptexpError(f"parameter file {path} holds no mapping of config fields, expected for example lr: 6e-4")
    return dict(flatten({key: _unwrap(value) for key, value in content.items()}, str(path)))


def _unwrap(value: Any) -> Any:
    is_wrapped = isinstance(value, Mapping) and "value" in value and value.keys() <= {"value", "desc"}
    return value["value"] if is_wrapped else value


def flatten(values: Mapping[Any, Any], place: str) -> Iterator[tuple[str, Any]]:
    """Every field with its value; a mapping is a group of fields, unless its name is a field's.

    Raises:
        GptexpError: an unknown key.
    """
    for name, value in values.items():
        # W&B's own entries in a parameter file.
        if str(name).startswith("_") or name == "wandb_version":
            continue
        key = flat_key(str(name))
        if is_field(key):
            yield key, read_field(key, value)
        elif isinstance(value, Mapping):
            yield from flatten(value, place)
        else:
            known = [*RunConfig.model_fields, SCALE]
            raise GptexpError(f"{shorten(name)} in {place} is not a config field{did_you_mean(key, known)}")
