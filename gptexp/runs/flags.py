"""The flags of recorded runs by the rules of today: what a result lacks is found again in its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gptexp.runs.folder import RunFolder
from gptexp.training.flags import OUTLIER_BATCH, RISE_NATS, ROSE, drop_older, find_ends, find_rise


def find_flags_again(folders: Sequence[RunFolder], logs: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """Run id -> its flags, each with its numbers.

    Args:
        logs: the frames of steps, evals and events.
    """
    rises, ends = _find_rises(logs["steps"], logs["events"]), _find_ends(folders, logs["evals"])
    found = {}
    for folder in (one for one in folders if one.started):
        said = {name: numbers for name, numbers in folder.flags.items() if name != ROSE}
        found[folder.run_id] = drop_older(said | rises.get(folder.run_id, {}) | ends.get(folder.run_id, {}))
    return found


def _find_rises(steps: pd.DataFrame, events: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Run id -> the flag of a rise, of the runs that rose: results of older versions don't say, or by another rule."""
    if steps.empty:
        return {}
    made = events[events["name"] == OUTLIER_BATCH]
    made_at = {str(name): set(own["step"]) for name, own in made.groupby("run_id")}
    first = steps.loc[steps["step"] == 1].drop_duplicates("run_id").set_index("run_id")["train_loss"]
    above = steps["train_loss"] > steps["run_id"].map(first) + RISE_NATS
    rows = steps[steps["run_id"].isin(steps.loc[above, "run_id"].unique())]
    losses = {str(name): own.sort_values("step")["train_loss"].tolist() for name, own in rows.groupby("run_id")}
    found = {name: find_rise(values, made_at.get(name, ())) for name, values in losses.items()}
    return {name: {ROSE: rise} for name, rise in found.items() if rise is not None}


def _find_ends(folders: Sequence[RunFolder], evals: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Run id -> how its val loss ended, of the runs that have done all their steps and lack their end: a result says so
    of completed runs only.
    """
    trained = {folder.run_id for folder in folders if folder.lacks_only_its_end}
    rows = evals[evals["run_id"].isin(trained) & ~evals["whole"].astype(bool)].sort_values("step")
    return {
        str(name): find_ends(list(own[["step", "val_loss"]].itertuples(index=False, name=None)))
        for name, own in rows.groupby("run_id")
    }
