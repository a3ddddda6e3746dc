"""The arms' losses side by side at chosen steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd

from gptexp.measures.curves import FINAL_WINDOW, Floats, choose_steps, find_nearest, train_loss_at
from gptexp.measures.summary import find_common_step
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import ABSENT, write_count, write_loss

NEAR = 0.2
"""An evaluation this share of a step away from it still stands for it; a farther one would mislead."""


def losses_at_steps(study: StudyRuns) -> Table | None:
    """Train and val loss of the arms side by side at chosen steps; None where no step was recorded."""
    if study.steps.empty:
        return None
    common = find_common_step(study.runs)
    chosen = sorted({*choose_steps(int(study.steps["step"].max())), *([common] if common else [])})
    trained = study.val_curve[study.val_curve["step"] > 0]
    steps, evals = _split(study.steps, "train_loss"), _split(trained, "val_loss")
    data = pd.DataFrame([_read_losses(arm, step, steps, evals) for step in chosen for arm in study.arms])
    columns = [Column("step")]
    for arm in study.arms:
        columns += [Column(kind, group=arm.label, arm=arm.index) for kind in ("train", "val")]
    rows = []
    for step in chosen:
        cells = [Cell(write_count(step), step)]
        for arm in study.arms:
            cells += _write_losses(data[(data["step"] == step) & (data["arm"] == arm.name)].iloc[0])
        rows.append(tuple(cells))
    seeds = " Mean over seeds." if len(study.seeds) > 1 else ""
    stops = ""
    if common:
        stops = f" Step {write_count(common)} is the last that all runs got to; some were stopped on their way."
    caption = (
        f"Nats per token. Train: mean of the last {FINAL_WINDOW} steps. Val, on a fixed subset of the split: the "
        f"evaluation at this step or the nearest one, its step behind it; a dash where none is near.{seeds}{stops}"
    )
    return Table("losses-at-steps", "Side by side", caption, tuple(columns), tuple(rows), data, tuple(study.run_ids))


Curves = dict[tuple[str, str], tuple[Floats, Floats]]


def _split(log: pd.DataFrame, column: str) -> Curves:
    """(steps, values) of every (arm, run id)."""
    steps, values = log["step"].to_numpy(dtype=float), log[column].to_numpy(dtype=float)
    places = log.groupby(["arm", "run_id"], sort=False).indices
    return {cast(tuple[str, str], key): (steps[rows], values[rows]) for key, rows in places.items()}


def _read_losses(arm: ArmRuns, step: int, steps: Curves, evals: Curves) -> dict[str, object]:
    """Mean train and val loss of an arm's runs at `step`; a run that ended before it gives none."""
    train, val, val_steps = [], [], []
    for run_id in arm.run_ids:
        curve = steps.get((arm.name, run_id))
        if curve is None or curve[0].max() < step:
            continue
        train.append(train_loss_at(*curve, step))
        at, losses = evals.get((arm.name, run_id), (np.empty(0), np.empty(0)))
        nearest = find_nearest(at, step)
        if nearest is not None and abs(at[nearest] - step) <= NEAR * step:
            val.append(float(losses[nearest]))
            val_steps.append(int(at[nearest]))
    diverged = int((arm.runs["diverged_step"] <= step).sum())
    return {
        "step": step,
        "arm": arm.name,
        "train_loss": _mean(train),
        "val_loss": _mean(val),
        "val_step": val_steps[0] if val_steps else math.nan,
        "n_runs": len(train),
        "n_diverged": diverged,
    }


def _write_losses(row: pd.Series) -> list[Cell]:
    if row["n_diverged"] and not math.isfinite(row["train_loss"]):
        return [Cell("diverged", math.inf, mark="diverged"), Cell(ABSENT, math.inf)]
    val = write_loss(row["val_loss"])
    if math.isfinite(row["val_step"]) and row["val_step"] != row["step"]:
        val += f" @{write_count(row['val_step'])}"
    return [Cell(write_loss(row["train_loss"]), row["train_loss"]), Cell(val, row["val_loss"])]


def _mean(values: Sequence[float]) -> float:
    """Mean of all values (NaN where one is), NaN of none."""
    return float(np.mean(values)) if values else math.nan
