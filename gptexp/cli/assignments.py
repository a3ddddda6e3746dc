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

from gptexp.config import RunConfig, parse_assignment, parse_value
from gptexp.errors import GptexpError, did_you_mean

BESIDES = ("corpus", "scale")
"""Keys that are no numbers of a config but belong to the request; `corpus` is a field too."""


@dataclass
class TrainRequest:
    """What one run is asked to be."""

    overrides: dict[str, Any] = field(default_factory=dict)
    scale: str | None = None
    corpus: str | None = None


def read_request(arguments: Sequence[str], params: Sequence[Path] = ()) -> TrainRequest:
    """Arguments, parameter files and the sweep's parameters as one request.

    Raises:
        GptexpError: an argument that is no assignment, an unknown key, a file that can't be read.
    """
    assignments, files = split_arguments(arguments)
    values: dict[str, Any] = {}
    for path in [*params, *files]:
        values.update(read_parameters(path))
    values.update(assignments)
    if sweep_file := os.environ.get("WANDB_SWEEP_PARAM_PATH"):
        values.update(read_parameters(Path(sweep_file)))
    scale, corpus = values.pop("scale", None), values.pop("corpus", None)
    return TrainRequest(values, None if scale is None else str(scale), None if corpus is None else str(corpus))


def split_arguments(arguments: Sequence[str]) -> tuple[dict[str, Any], list[Path]]:
    """Assignments and paths of parameter files.

    An assignment is `key=value`, `--key=value` or `--key value`; dashes in keys are underscores, and of a dotted key
    the last part counts (`--model.n_layer=4`).

    Raises:
        GptexpError: something else, or an unknown key.
    """
    assignments: dict[str, Any] = {}
    files: list[Path] = []
    words = iter(arguments)
    for word in words:
        if "=" not in word and word.startswith("--"):
            value = next(words, None)
            if value is None:
                raise GptexpError(f"{word!r} has no value; write it as {word}=VALUE")
            word = f"{word}={value}"
        if "=" in word:
            key, value = read_assignment(word)
            if isinstance(value, Mapping):
                assignments.update(flatten({key: value}, "the command line"))
            else:
                assignments[key] = value
        elif word.endswith(".json"):
            files.append(Path(word))
        else:
            raise GptexpError(f"{word!r} is not an assignment; write it as key=value, for example lr=6e-4")
    return assignments, files


def read_assignment(text: str) -> tuple[str, Any]:
    """One assignment; a group of fields (`model={"n_layer": 4}`, as an agent writes it) is a mapping.

    Raises:
        GptexpError: an unknown key.
    """
    name, _, raw = text.removeprefix("--").partition("=")
    key = flat_key(name)
    if key == "scale":
        return key, raw.strip()
    value = parse_group(raw)
    return (key, value) if value is not None else parse_assignment(f"{key}={raw}")


def parse_group(raw: str) -> Mapping[str, Any] | None:
    """The mapping that `raw` spells in JSON or, as an agent's `${args}` has it, in Python; None for any other text."""
    import ast

    if not raw.strip().startswith("{"):
        return None
    try:
        value = json.loads(raw)
    except ValueError:
        try:
            value = ast.literal_eval(raw.strip())
        except (ValueError, SyntaxError):
            return None
    return value if isinstance(value, Mapping) else None


def read_parameters(path: Path) -> dict[str, Any]:
    """Fields of a JSON or YAML file: `{key: value}`, or `{key: {value: ...}}` as W&B writes a sweep's parameters.

    Raises:
        GptexpError: it can't be read, holds something else, or an unknown key.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GptexpError(f"parameter file {path} can't be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise GptexpError(f"parameter file {path} is neither JSON nor YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise GptexpError(f"parameter file {path} holds no mapping of config fields, expected for example lr: 6e-4")
    return dict(flatten({key: _unwrap(value) for key, value in content.items()}, str(path)))


def _unwrap(value: Any) -> Any:
    return value["value"] if isinstance(value, Mapping) and value.keys() <= {"value", "desc"} else value


def flatten(values: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """Every field with its value; a mapping is a group of fields.

    Raises:
        GptexpError: an unknown key.
    """
    for name, value in values.items():
        # W&B's own entries in a parameter file.
        if str(name).startswith("_") or name == "wandb_version":
            continue
        if isinstance(value, Mapping):
            yield from flatten(value, place)
            continue
        key = flat_key(str(name))
        if key not in RunConfig.model_fields and key not in BESIDES:
            raise GptexpError(f"{name!r} in {place} is not a config field{did_you_mean(key, RunConfig.model_fields)}")
        # YAML reads 1e-4 (no point) as text: it means what it means on the command line.
        is_text = RunConfig.model_fields[key].annotation is str if key in RunConfig.model_fields else True
        yield key, parse_value(value) if isinstance(value, str) and not is_text else value


def flat_key(name: str) -> str:
    """The field that a key names: the last part of a dotted one, with underscores for dashes."""
    return name.strip().rpartition(".")[2].replace("-", "_")
