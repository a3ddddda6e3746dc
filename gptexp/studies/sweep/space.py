"""The search space of a sweep: each parameter as a list of values or a range, and its Optuna distribution."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptexp.identity import canonical_json

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MAX_POINTS = 100_000
"""Spaces with more points than this are not listed."""


@dataclass(frozen=True)
class Parameter:
    """A searched config field, with a list of `choices` or a range from `low` to `high`."""

    name: str
    """The flat config field, or `scale`."""
    distribution: str
    """The sweep file's name for the distribution."""
    choices: tuple[Any, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    step: float | None = None
    """If set, only multiples of it within the range are drawn; None allows every number."""

    def draws(self) -> list[Any] | None:
        """All values that Optuna can draw, in order; None for a continuous range."""
        if self.choices:
            return [canonical_json(choice) for choice in self.choices]
        if self.step is None:
            return None
        first, last = self._multiples()
        return list(range(first, min(last, first + MAX_POINTS) + 1))

    def to_value(self, drawn: Any) -> Any:
        """The config value for a value drawn by Optuna."""
        if self.choices:
            return json.loads(drawn)
        if self.step is None:
            return float(drawn)
        if float(self.step).is_integer():
            return drawn * int(self.step)
        # Round to twelve digits, so that 3 * 0.1 becomes 0.3 instead of 0.30000000000000004.
        return min(max(float(f"{drawn * self.step:.12g}"), self.low), self.high)

    def to_distribution(self) -> BaseDistribution:
        """The Optuna distribution. Choices are given as JSON text, because Optuna treats 1 and True as equal."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution([canonical_json(choice) for choice in self.choices])
        if self.step is not None:
            return IntDistribution(*self._multiples(), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def ends(self) -> list[Any]:
        """The values that are validated before training: all choices, or both ends of the range."""
        if self.choices:
            return list(self.choices)
        if self.step is not None:
            return [self.to_value(multiple) for multiple in self._multiples()]
        return [self.low, self.high]

    def describe(self) -> dict[str, Any]:
        """The values or the range as JSON-like data, for the sweep's hash."""
        if self.choices:
            return {"values": list(self.choices)}
        return {"low": self.low, "high": self.high, "log": self.log, "step": self.step}

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(write_value(choice) for choice in self.choices)
        span = f"{self.low:g} to {self.high:g}"
        return f"{span}, {self.distribution}" + (f", steps of {self.step:g}" if self.step not in (None, 1) else "")

    def _multiples(self) -> tuple[int, int]:
        """First and last multiple of the step in the range, tolerant enough that 0.3 counts as a multiple of 0.1."""
        assert self.step is not None
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return max(first, 1) if self.log else first, last

    def sample(self, chance: random.Random) -> Any:
        """A random config value; every value of the space is possible."""
        if self.choices:
            return chance.choice(self.choices)
        if self.step is not None:
            return self.to_value(chance.randint(*self._multiples()))
        if self.log:
            return min(max(math.exp(chance.uniform(math.log(self.low), math.log(self.high))), self.low), self.high)
        return chance.uniform(self.low, self.high)


def list_points(parameters: Sequence[Parameter]) -> list[dict[str, Any]] | None:
    """All combinations of draws, the last parameter varying fastest; None if a range is continuous or there are more
    than `MAX_POINTS`."""
    draws = [parameter.draws() for parameter in parameters]
    if any(values is None for values in draws):
        return None
    known = [values for values in draws if values is not None]
    if math.prod(len(values) for values in known) > MAX_POINTS:
        return None
    names = [parameter.name for parameter in parameters]
    return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*known)]


def write_value(value: Any) -> str:
    """A value in the form of the command line: text unchanged, everything else as JSON, with None instead of null."""
    if isinstance(value, str):
        return value
    return "None" if value is None else json.dumps(value)
