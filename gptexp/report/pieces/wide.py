"""Data for chart libraries such as Recharts: one row per step, one column per arm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gptexp.measures.curves import pick_points
from gptexp.report.cells import write_rows
from gptexp.report.figures.canvas import Drawing
from gptexp.report.pieces.drawn import Curve, find_arm_column

ACROSS = ("step", "lr", "from", "seed")
"""What a chart has on its x axis: the first of these columns that the data have."""
ROWS = 700
"""Drawn points per column: about one per pixel of a wide page."""


def write_wide(drawing: Drawing, curves: Sequence[Curve]) -> str | None:
    """The figure's data in wide form as JSON; None where they have nothing to go across by.

    `columns` says how each column is named and coloured in the figure. `rows` has a list for every quantity, each row
    an object with the x value and one number per column. A quantity's value of an arm is the mean over the arm's seeds,
    where all of them have one. Data without arms have one list, `all`, with a column per quantity.
    """
    data = drawing.data
    across = next((name for name in ACROSS if name in data), None)
    if across is None or data.empty:
        return None
    arm = find_arm_column(data)
    numbers = [str(name) for name in data.select_dtypes("number") if name not in (across, "seed", "to")]
    if arm is None:
        frames = {"all": data[[across, *numbers]].groupby(across, as_index=False).mean()}
    else:
        frames = {name: _spread(data, across, arm, name) for name in numbers if "_mean" not in name}
    frames = {name: thin_rows(frame, across) for name, frame in frames.items() if len(frame)}
    if not frames:
        return None
    measured = {str(key) for frame in frames.values() for key in frame.columns if key != across}
    # As the figure has them.
    shown = [key for curve in curves for key in (curve.arm, curve.what) if key in measured]
    keys = list(dict.fromkeys([*shown, *sorted(measured)]))
    head = {
        "title": drawing.title,
        "caption": drawing.caption,
        "run_ids": list(drawing.run_ids),
        "x": across,
        "columns": [_describe_column(key, curves) for key in keys],
    }
    lists = [f"{json.dumps(name)}: [\n{write_rows(frame)}\n]" for name, frame in frames.items()]
    head_text = json.dumps(head, ensure_ascii=False)[:-1]
    return f'{head_text}, "rows": {{\n{", ".join(lists)}}}}}\n'


def _spread(data: pd.DataFrame, across: str, arm: str, name: str) -> pd.DataFrame:
    """One row per x, one column per arm; empty where nothing was measured."""
    known = data[np.isfinite(data[name].to_numpy(dtype=float))]
    grouped = known.groupby([across, arm])
    means = grouped[name].mean()
    if "seed" in data and across != "seed":
        seeds = known.groupby(arm)["seed"].nunique()
        means = means[grouped["seed"].nunique() == seeds.loc[means.index.get_level_values(arm)].to_numpy()]
    mean = f"{name}_mean"
    if mean in data:
        # Of many seeds the data hold their mean alone.
        means = means.combine_first(data.dropna(subset=[mean]).groupby([across, arm])[mean].first())
    if means.empty:
        return pd.DataFrame()
    wide: pd.DataFrame = means.unstack(arm).rename_axis(columns=None).reset_index()
    return wide


def thin_rows(frame: pd.DataFrame, across: str) -> pd.DataFrame:
    """Rows that keep what a chart of this width can show of every column: its ends, its lowest and highest points."""
    if len(frame) <= ROWS:
        return frame
    keep = {
        int(place)
        for name in frame.columns
        if name != across
        for place in pick_points(frame[name].to_numpy(dtype=float), ROWS // max(len(frame.columns) - 1, 1))
    }
    return frame.iloc[sorted(keep)]


def _describe_column(key: str, curves: Sequence[Curve]) -> dict[str, Any]:
    own = [curve for curve in curves if key in (curve.arm, curve.what)]
    # What an arm is compared with is drawn in grey.
    curve = next((curve for curve in own if "--gx-arm" in curve.colour), None)
    return {
        "key": key,
        "label": (curve.name if curve else "") or key,
        "colour": curve.colour if curve else "currentColor",
    }
