"""Reads sweep files in the format of `wandb sweep`. Features that gptexp doesn't support are refused by name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gptexp.errors import GptexpError, did_you_mean
from gptexp.files import explain, read_user_file
from gptexp.identity import short_hash
from gptexp.studies.sweep.command import ReadWords, read_command
from gptexp.studies.sweep.goal import EarlyStop, Metric, read_early_stop, read_metric
from gptexp.studies.sweep.notation import read_notation
from gptexp.studies.sweep.parameters import read_parameters
from gptexp.studies.sweep.space import Parameter, list_points

METHODS = ("grid", "random", "bayes")
KEYS = (
    *("name", "description", "program", "command", "project", "entity"),
    *("method", "metric", "parameters", "early_terminate", "run_cap"),
)
OF_WANDB = ("project", "entity")
"""Keys that place a sweep in W&B. They have no effect here, because there is no sweep on W&B."""


@dataclass(frozen=True)
class SweepFile:
    """The content of a sweep file."""

    name: str
    """Name of its folder and study: from the key `name` of the file, else a hash."""
    description: str
    method: str
    metric: Metric
    parameters: tuple[Parameter, ...]
    """The searched parameters."""
    settings: Mapping[str, Any]
    """Config fields that all trials share."""
    scale: str | None
    early_stop: EarlyStop | None
    run_cap: int | None
    notes: tuple[str, ...]
    """Sentences about parts of the file that work differently here than in W&B."""

    def definition(self) -> dict[str, Any]:
        """Everything in the file that determines the sweep's trials; it enters the sweep's hash."""
        early = self.early_stop
        return {
            "method": self.method,
            "metric": [self.metric.name, self.metric.goal],
            "parameters": [[parameter.name, parameter.describe()] for parameter in self.parameters],
            "settings": dict(self.settings),
            "early_stop": [list(early.bands), early.eta] if early else None,
        }


def read_sweep_file(path: Path, read_words: ReadWords) -> SweepFile:
    """The sweep that a YAML file describes.

    Args:
        read_words: reads the words of its command.

    Raises:
        GptexpError: it can't be read, or uses a feature that `gptexp sweep` doesn't support; the message names it.
    """
    try:
        content = read_notation(read_user_file(path).decode())
    except (OSError, UnicodeDecodeError) as error:
        reason = explain(error) if isinstance(error, OSError) else "it is no text"
        raise GptexpError(f"{path} can't be read ({reason}); expected a sweep file as `wandb sweep` takes it") from None
    except ValueError as error:
        raise GptexpError(f"{path} is neither JSON nor YAML: {error}") from None
    except GptexpError as error:
        raise GptexpError(f"{path}: {error}") from None
    if not isinstance(content, Mapping):
        raise GptexpError(f"{path} holds {type(content).__name__}, expected the keys method, metric and parameters")
    try:
        return parse_sweep(content, read_words)
    except GptexpError as error:
        raise GptexpError(f"{path}: {error}") from None


def parse_sweep(content: Mapping[str, Any], read_words: ReadWords) -> SweepFile:
    """A sweep file's content.

    Args:
        read_words: reads the words of its command.

    Raises:
        GptexpError: it uses a feature that isn't supported; the message names it.
    """
    for key in content:
        if key not in KEYS:
            raise GptexpError(f"the key {key!r} can't be done here{did_you_mean(str(key), KEYS)}")
    for key in ("name", "description", *OF_WANDB):
        if not isinstance(content.get(key), str | int | float | None):
            raise GptexpError(f"{key}: expected a text, found {content[key]!r}")
    method = content.get("method")
    if method not in METHODS:
        raise GptexpError(f"method: {method!r} can't be done here; known: {', '.join(METHODS)}")
    fixed, parameters = read_parameters(content.get("parameters"))
    trial = {**fixed, **{parameter.name: parameter.ends()[0] for parameter in parameters}}
    command = read_command(content.get("command"), content.get("program"), trial, read_words)
    settings = {**command.settings, **fixed}
    metric = read_metric(content.get("metric"))
    found = SweepFile(
        name="",
        description=str(content.get("description") or ""),
        method=method,
        metric=metric,
        parameters=parameters,
        scale=settings.pop("scale", command.scale),
        settings=settings,
        early_stop=read_early_stop(content.get("early_terminate"), metric),
        run_cap=read_cap(content.get("run_cap")),
        notes=(*note_wandb_keys(content), *command.notes),
    )
    check_grid(found)
    title = str(content.get("name") or "")
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]
    return replace(found, name=slug or short_hash(found.definition(), 8))


def note_wandb_keys(content: Mapping[str, Any]) -> tuple[str, ...]:
    """A note on keys that only W&B's sweeps use and that have no effect here."""
    from gptexp.mirrors.wandb_client import choose_project

    here = {"project": choose_project(), "entity": os.environ.get("WANDB_ENTITY")}
    keys = [f"{key} {content[key]!r}" for key in OF_WANDB if content.get(key) not in (None, here[key])]
    if not keys:
        return ()
    verb = "is" if len(keys) == 1 else "are"
    return (f"{' and '.join(keys)} {verb} not used; set WANDB_PROJECT and WANDB_ENTITY for the mirror of the trials",)


def read_cap(value: Any) -> int | None:
    """`run_cap`: the largest number of trials.

    Raises:
        GptexpError: it is not a whole number of at least 1.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise GptexpError(f"run_cap is {value!r}, expected a whole number from 1 on")
    return value


def check_grid(sweep: SweepFile) -> None:
    """Check that a grid search has a finite number of points.

    Raises:
        GptexpError: a parameter of a grid has a continuous range, or there are too many points.
    """
    if sweep.method != "grid" or list_points(sweep.parameters) is not None:
        return
    for parameter in sweep.parameters:
        if parameter.draws() is None:
            raise GptexpError(
                f"parameters: {parameter.name} has a {parameter.distribution} range, but a grid needs values (or "
                "int_uniform, q_uniform); list them or use method: random"
            )
    raise GptexpError("parameters: the grid has more than 100,000 points; use method: random")
