"""Reads the `parameters` of a sweep file, and checks each against the values that its config field accepts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gptexp.config import RunConfig, build_config, parse_value
from gptexp.errors import GptexpError, did_you_mean
from gptexp.studies.scales import find_scale
from gptexp.studies.sweep.fields import SCALE, flat_key, identify, is_field, kind_of, read_field, takes
from gptexp.studies.sweep.space import Parameter, write_value

CHOICES = ("constant", "categorical")
RANGES = ("uniform", "q_uniform", "int_uniform", "log_uniform", "q_log_uniform")
VALUE_RANGES = ("log_uniform_values", "q_log_uniform_values")
"""Ranges whose min and max are the values themselves; min and max of log_uniform are natural logarithms."""
KEYS = ("value", "values", "min", "max", "q", "distribution", "parameters")
LARGEST = 2**63 - 1
"""Largest number of steps in a range: Optuna uses 64-bit integers."""


def read_parameters(content: Any) -> tuple[dict[str, Any], tuple[Parameter, ...]]:
    """The `parameters` of a sweep file as (fixed settings, searched parameters).

    A nested or dotted key means the config field that its last part names.

    Raises:
        GptexpError: an unknown field, a distribution that Optuna doesn't have, an empty range, or values that the field
            doesn't accept.
    """
    if not isinstance(content, Mapping) or not content:
        raise GptexpError("parameters: expected config fields with value, values, or min and max, found none")
    settings: dict[str, Any] = {}
    searched: dict[str, Parameter] = {}
    for key, about in _flatten(content):
        name = flat_key(key)
        if not is_field(name):
            known = [*RunConfig.model_fields, SCALE]
            raise GptexpError(f"parameters: {key!r} is not a config field{did_you_mean(name, known)}")
        if name in settings or name in searched:
            raise GptexpError(f"parameters: {name} is there twice, the second time as {key!r}; leave one of them out")
        parameter = _read_parameter(name, about)
        if len(parameter.choices) == 1:
            settings[name] = parameter.choices[0]
        else:
            searched[name] = parameter
    return settings, tuple(searched.values())


def _flatten(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, about in content.items():
        name = f"{before}{key}"
        if not isinstance(about, Mapping):
            raise GptexpError(f"parameters: {name} is {about!r}, expected a mapping such as {{value: {about!r}}}")
        if unknown := [str(word) for word in about if word not in KEYS]:
            raise GptexpError(
                f"parameters: {name} asks for {unknown[0]!r}, which can't be done here; known: {', '.join(KEYS)}"
            )
        if "parameters" in about:
            _refuse_others(name, about, ("parameters",))
            if not isinstance(about["parameters"], Mapping):
                raise GptexpError(f"parameters: {name} has parameters {about['parameters']!r}, expected a mapping")
            yield from _flatten(about["parameters"], f"{name}.")
        elif isinstance(about.get("value"), Mapping) and not is_field(flat_key(name)):
            _refuse_others(name, about, ("value", "distribution"))
            yield from _flatten({inner: {"value": value} for inner, value in about["value"].items()}, f"{name}.")
        else:
            yield name, about


def _refuse_others(name: str, about: Mapping[str, Any], used: tuple[str, ...]) -> None:
    """Refuse keys beside the `used` ones, because they would have no effect."""
    if others := [key for key in about if key not in used]:
        raise GptexpError(
            f"parameters: {name} has {used[0]} and {others[0]}, of which only one can count; leave one out"
        )


def _read_parameter(name: str, about: Mapping[str, Any]) -> Parameter:
    distribution = about.get("distribution") or _guess_distribution(name, about)
    if distribution not in (*CHOICES, *RANGES, *VALUE_RANGES):
        known = ", ".join((*CHOICES, *RANGES, *VALUE_RANGES))
        raise GptexpError(f"parameters: {name} has distribution {distribution!r}, which Optuna hasn't; known: {known}")
    if distribution not in CHOICES:
        steps = ("q",) if distribution.startswith("q_") else ()
        _refuse_others(f"{name} ({distribution})", about, ("min", "max", *steps, "distribution"))
        return _read_range(name, distribution, about)
    key = "values" if "values" in about else "value"
    if key not in about or (key == "values" and not (isinstance(about[key], list) and about[key])):
        raise GptexpError(f"parameters: {name} needs `value`, or a list of `values`, found {about.get('values')!r}")
    _refuse_others(name, about, (key, "distribution"))
    choices = [read_choice(name, value) for value in (about[key] if key == "values" else [about[key]])]
    # Equal values count once, however they are written; the first spelling is kept.
    distinct: dict[str, Any] = {}
    for choice in choices:
        distinct.setdefault(identify(name, choice), choice)
    return Parameter(name, "categorical", tuple(distinct.values()))


def read_choice(name: str, value: Any) -> Any:
    """Check and convert one of the values listed for a field.

    Raises:
        GptexpError: the field doesn't accept it.
    """
    if isinstance(value, Mapping):
        raise GptexpError(f"parameters: {name} lists {dict(value)!r} among its values; only single values can be tried")
    if isinstance(value, float) and not math.isfinite(value):
        raise GptexpError(f"parameters: {name} lists {value!r} among its values, expected finite numbers")
    if not isinstance(value, str | int | float | list | None):
        raise GptexpError(
            f"parameters: {name} lists {value!r} among its values, expected texts, numbers, lists or null"
        )
    value = read_field(name, value)
    if name == SCALE:
        find_scale(value if isinstance(value, str) else write_value(value))
    elif not takes(name, value):
        is_list = isinstance(value, list) and kind_of(name) != "list"
        hint = f"; to try one after the other, write values: {value}" if is_list else ""
        try:
            build_config({name: value})
        except GptexpError as error:
            raise GptexpError(f"parameters: {error}{hint}") from None
    return value


def _guess_distribution(name: str, about: Mapping[str, Any]) -> str:
    """The distribution that W&B assumes if the file names none."""
    if "value" in about or "values" in about:
        return "categorical"
    if "q" in about:
        raise GptexpError(f"parameters: {name} has q, but no distribution; write distribution: q_uniform")
    if "min" in about and "max" in about:
        ends = (_read_number(name, about, "min"), _read_number(name, about, "max"))
        return "int_uniform" if all(isinstance(end, int) for end in ends) else "uniform"
    raise GptexpError(f"parameters: {name} needs value, values, or min and max, found {', '.join(about) or 'nothing'}")


def _read_range(name: str, distribution: str, about: Mapping[str, Any]) -> Parameter:
    low, high = _read_number(name, about, "min"), _read_number(name, about, "max")
    log = "log_uniform" in distribution
    if log and distribution not in VALUE_RANGES:
        if max(low, high) > 700:
            raise GptexpError(
                f"parameters: {name} goes up to e^{high:g}; min and max of {distribution} are exponents, those of "
                f"{distribution}_values are the values themselves"
            )
        low, high = math.exp(low), math.exp(high)
    step = _read_number(name, {"q": 1, **about}, "q") if distribution.startswith("q_") else None
    if distribution == "int_uniform":
        step = 1
    if step is not None and step <= 0:
        raise GptexpError(f"parameters: {name} has q={step:g}, expected a step above 0")
    if not low < high or (log and low <= 0):
        need = "0 < min < max" if log else "min < max"
        raise GptexpError(f"parameters: {name} goes from {low:g} to {high:g}; a {distribution} range needs {need}")
    check_kind(name, distribution, low, high, step)
    parameter = Parameter(name, distribution, low=float(low), high=float(high), log=log, step=step)
    if step is not None and not parameter.draws():
        raise GptexpError(f"parameters: {name} has no multiple of q={step:g} between {low:g} and {high:g}")
    return parameter


def check_kind(name: str, distribution: str, low: float, high: float, step: float | None) -> None:
    """Refuse ranges whose kind of values the field doesn't accept, such as fractions for a whole number.

    Raises:
        GptexpError: the message says what to write instead.
    """
    kind = kind_of(name)
    if kind not in ("number", "whole number"):
        instead = "values: [true, false]" if kind == "switch" else "a list of values"
        raise GptexpError(f"parameters: {name} has a {distribution} range, but takes a {kind}; write {instead}")
    if step is not None and (max(abs(low), abs(high)) / step > LARGEST or high - low == math.inf):
        raise GptexpError(
            f"parameters: {name} goes from {low:g} to {high:g}, more steps of {step:g} than can be counted"
        )
    if kind == "number" or (step is not None and float(step).is_integer()):
        return
    if step is not None:
        raise GptexpError(
            f"parameters: {name} takes whole numbers, not multiples of q={step:g}; write a whole q, such as q: 1"
        )
    instead = "int_uniform" if distribution == "uniform" else "q_log_uniform_values and q: 1"
    raise GptexpError(
        f"parameters: {name} takes whole numbers, but a {distribution} range gives fractions as well, such as "
        f"{low + (high - low) / math.pi:.6g}; write distribution: {instead}"
    )


def _read_number(name: str, about: Mapping[str, Any], key: str) -> float | int:
    # YAML reads 1e-5 as text; it requires 1.0e-5 for a number.
    value = parse_value(about[key]) if isinstance(about.get(key), str) else about.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise GptexpError(f"parameters: {name} needs a number as `{key}`, found {about.get(key)!r}")
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
