"""What a sweep file searches: each parameter as values or a range, and how Optuna sees it."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptexp.config import RunConfig, canonical_json, parse_value
from gptexp.errors import GptexpError, did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

CHOICES = ("constant", "categorical")
RANGES = ("uniform", "q_uniform", "int_uniform", "log_uniform", "q_log_uniform")
VALUE_RANGES = ("log_uniform_values", "q_log_uniform_values")
"""Ranges whose min and max are the values themselves; those of log_uniform are their logarithms."""
KEYS = ("value", "values", "min", "max", "q", "distribution", "parameters")
MAX_POINTS = 100_000
"""Of a space with more points than this, no list is made."""


@dataclass(frozen=True)
class Parameter:
    """One config field that is searched: among `choices`, or from `low` to `high`."""

    name: str
    """The flat config field, or `scale`."""
    distribution: str
    """As the sweep file calls it."""
    choices: tuple[Any, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    step: float | None = None
    """Only multiples of it, within the range; None takes every number."""

    def draws(self) -> list[Any] | None:
        """Everything that Optuna can draw for it, in order; None where that is a continuum."""
        if self.choices:
            return [canonical_json(choice) for choice in self.choices]
        if self.step is None:
            return None
        first, last = self._multiples()
        return list(range(first, min(last, first + MAX_POINTS) + 1))

    def to_value(self, drawn: Any) -> Any:
        """The config value that a draw stands for."""
        if self.choices:
            return json.loads(drawn)
        if self.step is None:
            return float(drawn)
        value = float(f"{drawn * self.step:.12g}")
        return int(value) if float(self.step).is_integer() else value

    def to_distribution(self) -> BaseDistribution:
        """As Optuna takes it. Choices are JSON text, since Optuna holds 1 and True for the same choice."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution([canonical_json(choice) for choice in self.choices])
        if self.step is not None:
            return IntDistribution(*self._multiples(), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def ends(self) -> list[Any]:
        """The values to check before anything is trained: all choices, or both ends of the range."""
        if self.choices:
            return list(self.choices)
        if self.step is not None:
            return [self.to_value(multiple) for multiple in self._multiples()]
        return [self.low, self.high]

    def describe(self) -> dict[str, Any]:
        """What decides the search, as plain data: it enters the sweep's hash."""
        if self.choices:
            return {"values": list(self.choices)}
        return {"low": self.low, "high": self.high, "log": self.log, "step": self.step}

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(write_value(choice) for choice in self.choices)
        span = f"{self.low:g} to {self.high:g}"
        return f"{span}, {self.distribution}" + (f", steps of {self.step:g}" if self.step not in (None, 1) else "")

    def _multiples(self) -> tuple[int, int]:
        """First and last multiple of the step in the range; a hair of room, so that 0.3 is a multiple of 0.1."""
        assert self.step is not None
        return math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)


def list_points(parameters: Sequence[Parameter]) -> list[dict[str, Any]] | None:
    """Every combination of draws, the last parameter varying fastest; None where there is no end of them."""
    draws = [parameter.draws() for parameter in parameters]
    if any(values is None for values in draws):
        return None
    known = [values for values in draws if values is not None]
    if math.prod(len(values) for values in known) > MAX_POINTS:
        return None
    names = [parameter.name for parameter in parameters]
    return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*known)]


def read_parameters(content: Any) -> tuple[dict[str, Any], tuple[Parameter, ...]]:
    """The `parameters` of a sweep file as (fixed settings, what is searched).

    A nested or dotted key stands for the config field that its last part names.

    Raises:
        GptexpError: an unknown field, a distribution that Optuna can't draw from, or a range that is none.
    """
    if not isinstance(content, Mapping) or not content:
        raise GptexpError("parameters: expected config fields with value, values, or min and max, found none")
    settings: dict[str, Any] = {}
    searched: dict[str, Parameter] = {}
    for key, about in _flatten(content):
        name = key.rpartition(".")[2].replace("-", "_")
        if name != "scale" and name not in RunConfig.model_fields:
            raise GptexpError(
                f"parameters: {key!r} is not a config field{did_you_mean(name, [*RunConfig.model_fields, 'scale'])}"
            )
        if name in settings or name in searched:
            raise GptexpError(f"parameters: {name} is there twice, the second time as {key!r}; leave one of them out")
        parameter = _read_parameter(name, about)
        if len(parameter.choices) == 1:
            settings[name] = parameter.choices[0]
        else:
            searched[name] = parameter
    return settings, tuple(searched.values())


def write_value(value: Any) -> str:
    """A value as `gptexp train` reads it: text as it is, everything else as JSON with None for null."""
    if isinstance(value, str):
        return value
    return "None" if value is None else json.dumps(value)


def _flatten(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, about in content.items():
        name = f"{before}{key}"
        if not isinstance(about, Mapping):
            raise GptexpError(f"parameters: {name} is {about!r}, expected a mapping such as {{value: {about!r}}}")
        if unknown := [str(word) for word in about if word not in KEYS]:
            raise GptexpError(
                f"parameters: {name} asks for {unknown[0]!r}, which can't be done here; known: {', '.join(KEYS)}"
            )
        if isinstance(about.get("parameters"), Mapping):
            yield from _flatten(about["parameters"], f"{name}.")
        elif isinstance(about.get("value"), Mapping):
            yield from _flatten({inner: {"value": value} for inner, value in about["value"].items()}, f"{name}.")
        else:
            yield name, about


def _read_parameter(name: str, about: Mapping[str, Any]) -> Parameter:
    distribution = about.get("distribution") or _guess_distribution(name, about)
    if distribution not in (*CHOICES, *RANGES, *VALUE_RANGES):
        known = ", ".join((*CHOICES, *RANGES, *VALUE_RANGES))
        raise GptexpError(f"parameters: {name} has distribution {distribution!r}, which Optuna hasn't; known: {known}")
    if distribution not in CHOICES:
        return _read_range(name, distribution, about)
    values = about.get("values") if "values" in about else [about["value"]] if "value" in about else None
    if not isinstance(values, list) or not values:
        raise GptexpError(f"parameters: {name} needs `value`, or a list of `values`, found {values!r}")
    choices = [_read_choice(name, value) for value in values]
    return Parameter(name, "categorical", tuple({canonical_json(choice): choice for choice in choices}.values()))


def _guess_distribution(name: str, about: Mapping[str, Any]) -> str:
    """What W&B takes where the file names no distribution."""
    if "value" in about or "values" in about:
        return "categorical"
    if "min" in about and "max" in about:
        ends = (_read_number(name, about, "min"), _read_number(name, about, "max"))
        return "int_uniform" if all(isinstance(end, int) for end in ends) else "uniform"
    raise GptexpError(f"parameters: {name} needs value, values, or min and max, found {', '.join(about) or 'nothing'}")


def _read_range(name: str, distribution: str, about: Mapping[str, Any]) -> Parameter:
    low, high = _read_number(name, about, "min"), _read_number(name, about, "max")
    log = "log_uniform" in distribution
    if log and distribution not in VALUE_RANGES:
        low, high = math.exp(low), math.exp(high)
    step = _read_number(name, {"q": 1, **about}, "q") if distribution.startswith("q_") else None
    if distribution == "int_uniform":
        step = 1
    if not low < high or (log and low <= 0) or (step is not None and step <= 0):
        need = "0 < min < max" if log else "min < max"
        raise GptexpError(f"parameters: {name} goes from {low:g} to {high:g}; a {distribution} range needs {need}")
    parameter = Parameter(name, distribution, low=float(low), high=float(high), log=log, step=step)
    if step is not None and not parameter.draws():
        raise GptexpError(f"parameters: {name} has no multiple of q={step:g} between {low:g} and {high:g}")
    return parameter


def _read_number(name: str, about: Mapping[str, Any], key: str) -> float | int:
    # YAML reads 1e-5 as text (it wants 1.0e-5).
    value = parse_value(about[key]) if isinstance(about.get(key), str) else about.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise GptexpError(f"parameters: {name} needs a number as `{key}`, found {about.get(key)!r}")
    return value


def _read_choice(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        raise GptexpError(f"parameters: {name} lists {dict(value)!r} among its values; only single values can be tried")
    if isinstance(value, float) and not math.isfinite(value):
        raise GptexpError(f"parameters: {name} lists {value!r} among its values, expected finite numbers")
    is_text = name == "scale" or RunConfig.model_fields[name].annotation is str
    return parse_value(value) if isinstance(value, str) and not is_text else value
