"""The mean over the seeds at each step, and its 95% interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from gptexp.comparisons.stats import CONFIDENCE

FEW_SEEDS = 5
"""With at most so many seeds each is drawn, beside their mean."""
BAND_SEEDS = 5
"""With fewer seeds no interval is drawn: of two it reaches nine standard deviations to each side, and hides them."""


def average_seeds(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """`step`, `mean`, `low`, `high` (95%, Student's t) and `n` of a column over the seeds of an arm, by step.

    Only steps that every seed has: after one has diverged, a mean of the others would show the survivors alone. Under
    `BAND_SEEDS` low and high are NaN.

    Args:
        rows: step, seed and the column, of one arm; values that aren't finite don't count.
    """
    finite = rows[np.isfinite(rows[column].astype(float))]
    by_step = finite.groupby("step")[column].agg(["mean", "std", "count"])
    by_step = by_step[by_step["count"] == rows["seed"].nunique()].reset_index()
    # Student's t at n - 1 degrees of freedom.
    quantile = stdtrit((by_step["count"] - 1).clip(lower=1), (1 + CONFIDENCE) / 2)
    half = (quantile * by_step["std"] / np.sqrt(by_step["count"])).where(by_step["count"] >= BAND_SEEDS)
    return pd.DataFrame(
        {
            "step": by_step["step"],
            "mean": by_step["mean"],
            "low": by_step["mean"] - half,
            "high": by_step["mean"] + half,
            "n": by_step["count"],
        }
    )


def spell_bands(curves: pd.DataFrame, column: str, name: str) -> pd.DataFrame:
    """arm, step, `<name>_mean`, `_low`, `_high`: `average_seeds` of every arm, for the data behind a figure."""
    if curves.empty:
        return pd.DataFrame(columns=["arm", "step", *(f"{name}_{key}" for key in ("mean", "low", "high"))], dtype=float)
    parts = [average_seeds(rows, column).assign(arm=arm) for arm, rows in curves.groupby("arm", sort=False)]
    bands = pd.concat(parts, ignore_index=True)[["arm", "step", "mean", "low", "high"]]
    return bands.rename(columns={key: f"{name}_{key}" for key in ("mean", "low", "high")})
