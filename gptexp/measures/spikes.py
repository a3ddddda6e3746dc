"""Spikes of the gradient as they come by themselves. The rule is published here and on every page that shows one."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from gptexp.runs.study_runs import ArmRuns, StudyRuns

RATIO = 4.0
"""A spike's gradient norm is more than so many times the running median."""
WINDOW = 25
"""Steps before it whose median that is."""
FEWEST = 4
"""At the start of a run fewer steps do, but not fewer than these."""

RULE = (
    f"A spike is a step whose gradient norm is more than {RATIO:g} times the median of the {WINDOW} steps before it "
    f"(early in a run, of the steps so far, at least {FEWEST})."
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
    finite = pd.Series(norms, dtype=float).replace([math.inf, -math.inf], math.nan)
    medians = finite.shift(1).rolling(WINDOW, min_periods=FEWEST).median()
    places = finite.index[finite > RATIO * medians]
    found = [Spike(int(place) + 1, float(finite[place]), float(medians[place])) for place in places]
    return [spike for spike in found if spike.step not in apart_from]


def find_natural_spikes(study: StudyRuns, rows: pd.DataFrame) -> list[Spike] | None:
    """The spikes of one run that came by themselves; None where its steps were not recorded from the first on.

    Args:
        rows: of `StudyRuns.steps`, those of the run.
    """
    ordered = rows.drop_duplicates("step").sort_values("step")
    if ordered.empty or ordered["step"].iloc[0] != 1:
        return None
    made = study.outliers
    own = made.loc[made["run_id"] == ordered["run_id"].iloc[0], "step"]
    return find_spikes(ordered["grad_norm"].tolist(), set(own))


def find_spikes_of(study: StudyRuns, arm: ArmRuns) -> dict[int, list[Spike]]:
    """The spikes on natural data of every seed of an arm whose steps were recorded from the first on."""
    found = {int(str(seed)): find_natural_spikes(study, rows) for seed, rows in study.steps_of(arm).groupby("seed")}
    return {seed: spikes for seed, spikes in found.items() if spikes is not None}
