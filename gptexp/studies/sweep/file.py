"""A sweep file, the one that `wandb sweep` takes, as data. What can't be done here is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from gptexp.config import short_hash
from gptexp.errors import GptexpError, did_you_mean
from gptexp.studies.sweep.command import read_command
from gptexp.studies.sweep.space import Parameter, list_points, read_parameters

METHODS = ("grid", "random", "bayes")
METRICS = (
    "val_loss",
    "val_bpb",
    "train_loss",
    "final_val_loss",
    "final_val_bpb",
    "final_train_loss",
    "best_val_loss",
)
"""What a trial can be judged by, named as W&B has it: val_loss and val_bpb are those of the last evaluation on the
fixed subset, train_loss that of the last step, the others stand in the run's result."""
EVALUATED = ("val_loss", "val_bpb")
"""Metrics that a run measures along the way, so that it can be stopped early."""
KEYS = (
    *("name", "description", "program", "command", "project", "entity"),
    *("method", "metric", "parameters", "early_terminate", "run_cap"),
)
MOST_EVALUATIONS = 1_000_000
"""Further out, no trial is compared."""


@dataclass(frozen=True)
class Metric:
    """What a sweep improves."""

    name: str = "val_loss"
    goal: Literal["minimize", "maximize"] = "minimize"
    target: float | None = None
    """No new trial once one has reached it."""

    @property
    def worst(self) -> float:
        """The value of a trial that diverged."""
        return float("inf") if self.goal == "minimize" else float("-inf")


@dataclass(frozen=True)
class EarlyStop:
    """Hyperband as W&B has it: at certain evaluations a trial goes on only if it is among the best 1/eta so far."""

    bands: tuple[int, ...]
    """Counts of evaluations (the one before the first step is number 1) at which trials are compared."""
    eta: int


@dataclass(frozen=True)
class SweepFile:
    """What a sweep file asks for."""

    name: str
    """For folders and studies: the file's name for the sweep, else a hash."""
    description: str
    method: str
    metric: Metric
    parameters: tuple[Parameter, ...]
    """What is searched."""
    settings: Mapping[str, Any]
    """Config fields that all trials share."""
    scale: str | None
    early_stop: EarlyStop | None
    run_cap: int | None
    notes: tuple[str, ...]
    """What of the file is done otherwise here."""

    def definition(self) -> dict[str, Any]:
        """All that decides which trials the sweep makes."""
        early = self.early_stop
        return {
            "method": self.method,
            "metric": [self.metric.name, self.metric.goal],
            "parameters": [[parameter.name, parameter.describe()] for parameter in self.parameters],
            "settings": dict(self.settings),
            "early_stop": [list(early.bands), early.eta] if early else None,
        }


def read_sweep_file(path: Path) -> SweepFile:
    """The sweep that a YAML file describes.

    Raises:
        GptexpError: it can't be read, or asks for what `gptexp sweep` can't do; the message names it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise GptexpError(f"{path} can't be read ({reason}); expected a sweep file as `wandb sweep` takes it") from None
    except yaml.YAMLError as error:
        raise GptexpError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise GptexpError(f"{path} holds {type(content).__name__}, expected the keys method, metric and parameters")
    try:
        return parse_sweep(content)
    except GptexpError as error:
        raise GptexpError(f"{path}: {error}") from None


def parse_sweep(content: Mapping[str, Any]) -> SweepFile:
    """A sweep file's content.

    Raises:
        GptexpError: it asks for what can't be done; the message names it.
    """
    for key in content:
        if key not in KEYS:
            raise GptexpError(f"the key {key!r} can't be done here{did_you_mean(str(key), KEYS)}")
    method = content.get("method")
    if method not in METHODS:
        raise GptexpError(f"method: {method!r} can't be done here; known: {', '.join(METHODS)}")
    fixed, parameters = read_parameters(content.get("parameters"))
    command = read_command(content.get("command"), content.get("program"))
    settings = {**command.settings, **fixed}
    settings = {name: value for name, value in settings.items() if name not in {p.name for p in parameters}}
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
        notes=command.notes,
    )
    check_grid(found)
    title = str(content.get("name") or "")
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]
    return replace(found, name=slug or short_hash(found.definition(), 8))


def read_metric(about: Any) -> Metric:
    """`metric`: name, goal and target; val_loss where there is none.

    Raises:
        GptexpError: a metric that no run has, or a goal that is none.
    """
    if about is None:
        return Metric()
    if not isinstance(about, Mapping) or "name" not in about:
        raise GptexpError(f"metric: expected name and goal, found {about!r}")
    if unknown := set(about) - {"name", "goal", "target"}:
        raise GptexpError(f"metric: {sorted(map(str, unknown))[0]!r} can't be done here; known: name, goal, target")
    name, goal, target = about["name"], about.get("goal", "minimize"), about.get("target")
    if name not in METRICS:
        raise GptexpError(f"metric: no run has {name!r}{did_you_mean(str(name), METRICS)}")
    if goal not in ("minimize", "maximize"):
        raise GptexpError(f"metric: goal is {goal!r}, expected minimize or maximize")
    if target is not None and (isinstance(target, bool) or not isinstance(target, int | float)):
        raise GptexpError(f"metric: target is {target!r}, expected a number")
    return Metric(name, goal, target)


def read_early_stop(about: Any, metric: Metric) -> EarlyStop | None:
    """`early_terminate`: Hyperband by min_iter, or by max_iter and s.

    Raises:
        GptexpError: another type, `strict`, or a metric that is only known at the end.

    Source: W&B, Sweep configuration options, early_terminate (https://docs.wandb.ai/models/sweeps/sweep-config-keys).
    """
    if about is None:
        return None
    if not isinstance(about, Mapping) or about.get("type") != "hyperband":
        kind = about.get("type") if isinstance(about, Mapping) else about
        raise GptexpError(f"early_terminate: {kind!r} can't be done here; the only type is hyperband")
    if unknown := set(about) - {"type", "min_iter", "max_iter", "s", "eta", "strict"}:
        raise GptexpError(f"early_terminate: {sorted(map(str, unknown))[0]!r} can't be done here")
    if about.get("strict"):
        raise GptexpError("early_terminate: strict can't be done here; leave it out or set it to false")
    if metric.name not in EVALUATED:
        raise GptexpError(
            f"early_terminate: metric {metric.name} is only known at a run's end; use {' or '.join(EVALUATED)}"
        )
    eta = _read_count(about, "eta", 3, least=2)
    if "min_iter" in about:
        first = _read_count(about, "min_iter", 1)
        bands = [first * eta**power for power in range(20) if first * eta**power <= MOST_EVALUATIONS]
        return EarlyStop(tuple(bands or [first]), eta)
    if "max_iter" not in about:
        raise GptexpError("early_terminate: hyperband needs min_iter, or max_iter and s")
    last, count = _read_count(about, "max_iter", 1), _read_count(about, "s", 1)
    bands = [last // eta**power for power in range(count, 0, -1) if last // eta**power >= 1]
    if not bands:
        raise GptexpError(f"early_terminate: max_iter={last} is below eta={eta}, so no trial would ever be compared")
    return EarlyStop(tuple(bands), eta)


def _read_count(about: Mapping[str, Any], key: str, default: int, *, least: int = 1) -> int:
    value = about.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < least:
        raise GptexpError(f"early_terminate: {key} is {value!r}, expected a whole number from {least} on")
    return int(value)


def read_cap(value: Any) -> int | None:
    """`run_cap`: the most trials that the sweep makes.

    Raises:
        GptexpError: no whole number from 1 on.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise GptexpError(f"run_cap is {value!r}, expected a whole number from 1 on")
    return value


def check_grid(sweep: SweepFile) -> None:
    """A grid needs a countable space.

    Raises:
        GptexpError: a parameter of a grid has a range without steps, or there are too many points.
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
