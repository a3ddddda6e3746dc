"""What a sweep improves, and when it stops a trial early.

A trial is judged by the measures that W&B knows by the same name: those of the run's result that say how good it is,
the last `val_loss` and `val_bpb` on the fixed subset, and the last step's own `train_loss`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gptexp.config import parse_value
from gptexp.errors import GptexpError, did_you_mean
from gptexp.measures.catalog import MEASURES, select
from gptexp.measures.measure import AT_EVALUATIONS

MOST_EVALUATIONS = 1_000_000
"""Largest number of an evaluation at which trials are compared."""


@dataclass(frozen=True)
class Metric:
    """The metric that a sweep optimises."""

    name: str = "val_loss"
    goal: Literal["minimize", "maximize"] = "minimize"
    target: float | None = None
    """No new trial starts after one trial has reached this value."""

    @property
    def worst(self) -> float:
        """The value assigned to a diverged trial."""
        return float("inf") if self.goal == "minimize" else float("-inf")


@dataclass(frozen=True)
class EarlyStop:
    """Hyperband as in W&B: at certain evaluations a trial continues only if it is among the best 1/eta so far."""

    bands: tuple[int, ...]
    """Numbers of the evaluations at which trials are compared; the evaluation before the first step has number 1."""
    eta: int
    """The best 1/eta of the trials continue."""


def read_metric(about: Any) -> Metric:
    """`metric`: name, goal and target; val_loss if the file has none.

    Raises:
        GptexpError: the metric is unknown, or the goal or target is invalid.
    """
    if about is None:
        return Metric()
    if not isinstance(about, Mapping) or "name" not in about:
        raise GptexpError(f"metric: expected name and goal, found {about!r}")
    if unknown := sorted(str(key) for key in about if key not in ("name", "goal", "target")):
        raise GptexpError(f"metric: {unknown[0]!r} can't be done here; known: name, goal, target")
    name, goal, target = about["name"], about.get("goal", "minimize"), about.get("target")
    # YAML reads 1e-1 as a text.
    target = parse_value(target) if isinstance(target, str) else target
    goals = select(lambda measure: measure.is_goal)
    if name not in goals:
        raise GptexpError(f"metric: no run has {name!r}{did_you_mean(str(name), goals)}")
    if goal not in ("minimize", "maximize"):
        raise GptexpError(f"metric: goal is {goal!r}, expected minimize or maximize")
    is_number = isinstance(target, int | float) and not isinstance(target, bool) and abs(target) < float("inf")
    if target is not None and not is_number:
        raise GptexpError(f"metric: target is {target!r}, expected a number")
    return Metric(name, goal, target)


def read_early_stop(about: Any, metric: Metric) -> EarlyStop | None:
    """`early_terminate`: Hyperband, given by min_iter, or by max_iter and s.

    Raises:
        GptexpError: another type, `strict`, or a metric that is only known at the end of a run.

    Source: W&B, Sweep configuration options, early_terminate (https://docs.wandb.ai/models/sweeps/sweep-config-keys).
    """
    if about is None:
        return None
    if not isinstance(about, Mapping) or about.get("type") != "hyperband":
        kind = about.get("type") if isinstance(about, Mapping) else about
        raise GptexpError(f"early_terminate: {kind!r} can't be done here; the only type is hyperband")
    known = ("type", "min_iter", "max_iter", "s", "eta", "strict")
    if unknown := sorted(str(key) for key in about if key not in known):
        raise GptexpError(f"early_terminate: {unknown[0]!r} can't be done here{did_you_mean(unknown[0], known)}")
    if "min_iter" in about and (others := [key for key in ("max_iter", "s") if key in about]):
        raise GptexpError(f"early_terminate: min_iter and {others[0]} are two ways to say it; leave one out")
    if about.get("strict"):
        raise GptexpError("early_terminate: strict can't be done here; leave it out or set it to false")
    if MEASURES[metric.name].logged != AT_EVALUATIONS:
        evaluated = " or ".join(select(lambda measure: measure.logged == AT_EVALUATIONS))
        raise GptexpError(f"early_terminate: metric {metric.name} is only known at a run's end; use {evaluated}")
    eta = _read_count(about, "eta", 3, least=2)
    if "min_iter" in about:
        first = _read_count(about, "min_iter", 1)
        bands = [first * eta**power for power in range(20) if first * eta**power <= MOST_EVALUATIONS]
        return EarlyStop(tuple(bands or [first]), eta)
    if "max_iter" not in about:
        raise GptexpError("early_terminate: hyperband needs min_iter, or max_iter and s")
    last, count = _read_count(about, "max_iter", 1), _read_count(about, "s", 1)
    # 20 is enough: even with eta=2, the 20th division of a million gives less than 1.
    bands = [last // eta**power for power in range(min(count, 20), 0, -1) if last // eta**power >= 1]
    if not bands:
        raise GptexpError(f"early_terminate: max_iter={last} is below eta={eta}, so no trial would ever be compared")
    return EarlyStop(tuple(bands), eta)


def _read_count(about: Mapping[str, Any], key: str, default: int, *, least: int = 1) -> int:
    value = about.get(key, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= MOST_EVALUATIONS or value != int(value):
        raise GptexpError(
            f"early_terminate: {key} is {value!r}, expected a whole number from {least} to {MOST_EVALUATIONS:,}"
        )
    return int(value)
