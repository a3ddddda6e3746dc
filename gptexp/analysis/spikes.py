"""Spikes of the gradient as they come by themselves. The rule is published here and on every page that shows one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from gptexp.analysis.instances import Arm, Instance

RATIO = 4.0
"""A spike's gradient norm is more than so many times the running median."""
WINDOW = 25
"""Steps before it whose median that is."""
FEWEST = 4
"""At the start of a run fewer steps do, but not fewer than these."""

RULE = (
    f"A spike is a step whose gradient norm is more than {RATIO:g} times the median of the {WINDOW} steps before it "
    f"(at the start of a run of those that there are, at least {FEWEST})."
)


@dataclass(frozen=True)
class Spike:
    """A step whose gradient stands out."""

    step: int
    norm: float
    """L2, of all gradients together, before clipping."""
    median: float
    """Of the steps before it."""


def find_spikes(norms: Sequence[float], apart_from: Collection[int] = ()) -> list[Spike]:
    """The spikes of a run, by `RULE`.

    Args:
        norms: gradient norms of the steps 1, 2, ...; what is not finite is no spike, and no part of a median.
        apart_from: steps whose batch was made to be a spike.
    """
    found = []
    for place, norm in enumerate(norms):
        before = [value for value in norms[max(0, place - WINDOW) : place] if math.isfinite(value)]
        if len(before) < FEWEST or not math.isfinite(norm) or place + 1 in apart_from:
            continue
        median = statistics.median(before)
        if norm > RATIO * median:
            found.append(Spike(place + 1, norm, median))
    return found


def find_spikes_of(instance: Instance, arm: Arm) -> dict[int, list[Spike]]:
    """The spikes on natural data of every seed of an arm whose steps were recorded from the first on."""
    found = {}
    for seed, rows in instance.steps_of(arm).groupby("seed"):
        ordered = rows.drop_duplicates("step").sort_values("step")
        if ordered["step"].iloc[0] == 1:
            found[int(str(seed))] = find_spikes(ordered["grad_norm"].tolist(), list_made_spikes(instance, ordered))
    return found


def list_made_spikes(instance: Instance, rows: pd.DataFrame) -> set[int]:
    """The steps of a run (its rows of `steps`) whose batch was the labelled outlier."""
    events = instance.events
    if events.empty:
        return set()
    own = (events["run_id"] == rows["run_id"].iloc[0]) & (events["name"] == "outlier-batch")
    return {int(step) for step in events.loc[own, "step"]}
