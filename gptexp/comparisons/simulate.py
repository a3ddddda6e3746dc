"""Simulated studies that look after every seed: how often they are wrong, and how many seeds they take.

`python -m gptexp.comparisons.simulate` prints the table of 2,000 studies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gptexp.comparisons.differences import ALPHA
from gptexp.comparisons.power import count_seeds
from gptexp.comparisons.sequential import Floats, half_width
from gptexp.comparisons.stats import FEWEST_PAIRS

STUDIES = 2000


@dataclass(frozen=True)
class Simulated:
    """What simulated studies came to."""

    wrong: float
    """Share of studies with a wrong decision in any comparison."""
    undecided: float
    """Share of studies with a comparison that the most seeds left undecided."""
    mean_seeds: float
    """Seeds an arm until all comparisons of a study are decided, or the most."""


def simulate_studies(truths: Floats, deviation: float, detect: float, most: int, studies: int = STUDIES) -> Simulated:
    """Studies whose arms are held against one baseline, with normal losses, a fixed random seed.

    Args:
        truths: float64 (arms,), the true differences from the baseline.
        deviation: of a paired difference, in the unit of `detect`.
        most: seeds an arm at most.
    """
    arms = len(truths)
    # A difference is an arm's loss minus the baseline's, which all arms of a study share.
    noise = np.random.default_rng(11).normal(0, deviation / np.sqrt(2), (studies, arms + 1, most))
    values = truths[:, None] + noise[:, 1:] - noise[:, :1]
    n = np.arange(1, most + 1)
    means = values.cumsum(axis=2) / n
    squares = (values**2).cumsum(axis=2) - n * means**2
    looks = n[FEWEST_PAIRS - 1 :]
    deviations = np.sqrt(np.maximum(squares[..., FEWEST_PAIRS - 1 :], 0) / (looks - 1))
    half = half_width(looks, deviations, 1 - ALPHA / arms)
    means = means[..., FEWEST_PAIRS - 1 :]
    low, high = means - half, means + half
    told, close = (low > 0) | (high < 0), (low > -detect) & (high < detect)
    decided: npt.NDArray[np.bool_] = np.asarray(told | close)
    first = decided.argmax(axis=2)[..., None]
    is_decided = np.asarray(np.any(decided, axis=2))
    is_told = np.take_along_axis(told, first, axis=2)[..., 0]
    sign = np.sign(np.take_along_axis(means, first, axis=2)[..., 0])
    is_wrong = is_decided & np.where(is_told, sign != np.sign(truths), np.abs(truths) >= detect)
    seeds = np.where(is_decided, looks[first[..., 0]], most)
    return Simulated(
        float(np.any(is_wrong, axis=1).mean()),
        float(np.any(~is_decided, axis=1).mean()),
        float(seeds.max(axis=1).mean()),
    )


def print_table() -> None:
    """Studies of three comparisons, at most 12 seeds, differences of 0 to 3 times the one asked for."""
    print("scatter/detect  truth/detect  wrong  undecided  mean seeds  fixed design")
    for deviation in (0.25, 0.5, 1.0):
        fixed = count_seeds(deviation, 1.0)
        for truth in (0.0, 1.0, 3.0):
            found = simulate_studies(np.full(3, truth), deviation, 1.0, 12)
            print(
                f"{deviation:14g}  {truth:12g}  {found.wrong:5.1%}  {found.undecided:9.1%}  {found.mean_seeds:10.2f}  "
                f"{fixed:12}"
            )


if __name__ == "__main__":
    print_table()
