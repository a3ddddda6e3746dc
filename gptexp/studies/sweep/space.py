"""What a sweep file searches: each parameter as values or a range, and how Optuna sees it."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptexp.config import canonical_json

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

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
        if float(self.step).is_integer():
            return drawn * int(self.step)
        # Twelve digits, so that three times 0.1 is the 0.3 that a person would type.
        return min(max(float(f"{drawn * self.step:.12g}"), self.low), self.high)

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
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return max(first, 1) if self.log else first, last

    def sample(self, chance: random.Random) -> Any:
        """A config value from within, every one of which can come."""
        if self.choices:
            return chance.choice(self.choices)
        if self.step is not None:
            return self.to_value(chance.randint(*self._multiples()))
        if self.log:
            return min(max(math.exp(chance.uniform(math.log(self.low), math.log(self.high))), self.low), self.high)
        return chance.uniform(self.low, self.high)


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


def write_value(value: Any) -> str:
    """A value as `gptexp train` reads it: text as it is, everything else as JSON with None for null."""
    if isinstance(value, str):
        return value
    return "None" if value is None else json.dumps(value)
