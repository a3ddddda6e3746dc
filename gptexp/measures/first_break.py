"""Which layer left the band of the other seeds first, and how many steps before the loss did.

It needs metrics by layer (`step_metrics`) of at least three seeds. The rule stands here and on every page that uses it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from gptexp.runs.study_runs import ArmRuns, StudyRuns

BAND = 3.0
"""A layer's number is in the band up to so many times the median of the other seeds, and down to that part of it."""
LOSS_NATS, LOSS_DEVIATIONS = 0.1, 7.0
"""A train loss is in the band up to so many nats above the median of the other seeds, or up to so many robust standard
deviations (1.4826 x median absolute deviation) of theirs from that median over all steps, whichever is more."""
OTHERS = 2
"""Fewest other seeds that make a band."""

RULE = (
    f"The band of the other seeds: a layer's number is within a factor of {BAND:g} of their median at the same step, "
    f"and the train loss is at most {LOSS_NATS:g} nats, or {LOSS_DEVIATIONS:g} robust standard deviations of these "
    "seeds, above theirs. A layer left it where all its measurements from there to the step at which the loss left are "
    "outside."
)
PARTS = ("ln_attn", "attn", "ln_ffn", "ffn", "")
"""Of a block, in the order of the forward pass; the last is the residual stream behind it."""


@dataclass(frozen=True)
class Leaving:
    """A layer that left the band before the loss did, or at the same step."""

    metric: str
    layer: str
    step: int
    ratio: float
    """Its number at that step, divided by the median of the other seeds; infinite where it isn't finite."""

    @property
    def size(self) -> float:
        """How far outside, up or down."""
        return max(self.ratio, 1 / self.ratio) if self.ratio > 0 else math.inf


@dataclass(frozen=True)
class Break:
    """A run whose train loss left the band of the other seeds."""

    run_id: str
    seed: int
    step: int
    """At which the loss left."""
    loss: float
    others: float
    """Median train loss of the other seeds at that step."""
    leavings: tuple[Leaving, ...]
    """The layers that left, the first ones first, of those at the same step the one that is farthest outside."""

    @property
    def excess(self) -> float:
        """How far the loss was above the others', in nats; infinite where it wasn't finite."""
        return self.loss - self.others if math.isfinite(self.loss) else math.inf


def find_breaks(study: StudyRuns, arm: ArmRuns) -> list[Break]:
    """The runs of an arm whose loss left the band, seed by seed."""
    steps = study.steps_of(arm).drop_duplicates(["seed", "step"], keep="last")
    losses = steps.pivot(index="step", columns="seed", values="train_loss")
    layers = pivot_metrics(study, arm)
    found = []
    for seed, rows in steps.groupby("seed"):
        own = rows.sort_values("step").set_index("step")["train_loss"]
        middle = find_middle(losses, int(str(seed))).reindex(own.index)
        outside = own.index[middle.notna() & ~(own <= middle + _measure_room(losses, int(str(seed))))]
        if len(outside):
            step = int(outside[0])
            leavings = sorted(_find_leavings(layers, int(str(seed)), step), key=lambda one: (one.step, -one.size))
            loss, others = float(own[step]), float(middle[step])
            found.append(Break(str(rows["run_id"].iloc[0]), int(str(seed)), step, loss, others, tuple(leavings)))
    return found


def pivot_metrics(study: StudyRuns, arm: ArmRuns) -> dict[str, pd.DataFrame]:
    """`metric/layer` -> its values, a row per measured step and a column per seed; empty where none was recorded."""
    rows = study.metrics
    if rows.empty:
        return {}
    rows = rows[(rows["arm"] == arm.name) & (rows["kind"] == "step")]
    return {str(name): one.pivot(index="step", columns="seed", values="value") for name, one in rows.groupby("name")}


def find_middle(values: pd.DataFrame, seed: int) -> pd.Series:
    """The median of the other seeds at every step, NaN where there are fewer than `OTHERS`.

    Args:
        values: a row per step, a column per seed.
    """
    others = values.drop(columns=seed).to_numpy(dtype=float)
    # numpy's median of the finite ones: pandas would look at every column by itself, and arms have hundreds of seeds.
    others = np.where(np.isfinite(others), others, math.nan)
    middle = np.full(len(values), math.nan)
    enough = np.isfinite(others).sum(axis=1) >= OTHERS
    middle[enough] = np.nanmedian(others[enough], axis=1)
    return pd.Series(middle, index=values.index)


def _measure_room(losses: pd.DataFrame, seed: int) -> float:
    """How far above the median of the other seeds a loss is still in their band, in nats."""
    apart = losses.drop(columns=seed).sub(find_middle(losses, seed), axis=0).abs().to_numpy(dtype=float)
    apart = apart[np.isfinite(apart)]
    return max(LOSS_NATS, LOSS_DEVIATIONS * 1.4826 * float(np.median(apart)) if apart.size else 0.0)


def compare_with_others(values: pd.DataFrame, seed: int) -> pd.Series:
    """A seed's number divided by the median of the others, by measured step; infinite where it isn't finite. Steps
    without others, or whose median is not above 0, are left out."""
    middle = find_middle(values, seed)
    known = middle[middle > 0].index
    ratio = values.loc[known, seed] / middle[known]
    return ratio.where(np.isfinite(ratio), math.inf)


def is_outside(ratio: pd.Series) -> pd.Series:
    return (ratio > BAND) | (ratio < 1 / BAND)


def _find_leavings(layers: dict[str, pd.DataFrame], seed: int, step: int) -> Iterator[Leaving]:
    for name, values in layers.items():
        if seed not in values:
            continue
        # What was measured of a run that broke off ends before the others'.
        own = values[values.index <= step].dropna(subset=[seed]) if values[seed].notna().any() else values.iloc[:0]
        ratio = compare_with_others(own, seed)
        inside = np.flatnonzero(~is_outside(ratio).to_numpy())
        first = inside[-1] + 1 if len(inside) else 0
        if first < len(ratio):
            metric, _, layer = name.partition("/")
            yield Leaving(metric, layer, int(ratio.index[first]), float(ratio.iloc[first]))


def order_layers(names: Iterable[str]) -> list[str]:
    """Layers from the embedding to the output."""
    return sorted(set(names), key=_place)


def _place(layer: str) -> tuple[float, float, str]:
    block = re.fullmatch(r"blocks\.(\d+)(?:\.(\w+))?", layer)
    if block:
        part = block[2] or ""
        return int(block[1]), PARTS.index(part) if part in PARTS else len(PARTS), layer
    return (-1, 0, layer) if layer.endswith("embedding") else (math.inf, 0, layer)
