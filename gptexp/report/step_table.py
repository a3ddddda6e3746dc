"""The arms' losses side by side at chosen steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from gptexp.comparisons.summary import find_common_step
from gptexp.measures.catalog import MEASURES
from gptexp.measures.curves import choose_steps
from gptexp.measures.measure import FINAL_WINDOW
from gptexp.report.tables import Cell, Column, Table
from gptexp.report.units import find_unit
from gptexp.runs.run_records import list_runs_of
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import ABSENT, count_things, write_count, write_loss


def losses_at_steps(study: StudyRuns) -> Table | None:
    """Train and val loss of the arms side by side at chosen steps; None where no step was recorded."""
    if study.steps.empty:
        return None
    common = find_common_step(study)
    chosen = sorted({*choose_steps(int(study.steps["step"].max())), *([common] if common else [])})
    data = pd.DataFrame([_read_losses(study, arm, step) for step in chosen for arm in study.arms])
    columns = [Column("step")]
    for arm in study.arms:
        columns += [Column(kind, group=arm.label, arm=arm.index) for kind in ("train", "val")]
    rows = []
    for step in chosen:
        cells = [Cell(write_count(step), step)]
        for arm in study.arms:
            row = data[(data["step"] == step) & (data["arm"] == arm.name)].iloc[0]
            cells += _write_losses(row, len(arm.runs))
        rows.append(tuple(cells))
    seeds = " Mean over seeds." if len(study.seeds) > 1 else ""
    unit, stops = find_unit(study.runs, "val"), ""
    if common:
        stops = f" Step {write_count(common)} is the last that all runs got to; some were stopped on their way."
    caption = (
        f"{unit.nats.capitalize()}. Train: mean of the last {FINAL_WINDOW} steps. Val, on a fixed subset of the split: "
        f"the evaluation at this step or the nearest one, its step behind it; a dash where none is near.{seeds}{stops}"
    )
    return Table("losses-at-steps", "Side by side", caption, tuple(columns), tuple(rows), data, tuple(study.run_ids))


def _read_losses(study: StudyRuns, arm: ArmRuns, step: int) -> dict[str, object]:
    """Mean train and val loss of an arm's runs at `step`; a run that ended before it gives none."""
    runs = [run for run in list_runs_of(study, arm) if run.last_logged_step >= step]
    found = [(at, loss) for at, loss in (run.find_eval(step) for run in runs) if not math.isnan(at)]
    val_step = min(found, key=lambda pair: (abs(pair[0] - step), pair[0]))[0] if found else math.nan
    return {
        "step": step,
        "arm": arm.name,
        "train_loss": _mean([MEASURES["train_loss"].of(run, step) for run in runs]),
        "val_loss": _mean([loss for at, loss in found if at == val_step]),
        "val_step": val_step,
        "n_runs": len(runs),
        "n_diverged": int((arm.runs["diverged_step"] <= step).sum()),
    }


def _write_losses(row: pd.Series, n_seeds: int) -> list[Cell]:
    """The cells of an arm; where some of its seeds have got no value, how many have, and how many broke before."""
    if row["n_diverged"] and not math.isfinite(row["train_loss"]):
        return [Cell("diverged", math.inf, mark="diverged"), Cell(ABSENT, math.inf)]
    few, mark = "", ""
    if 0 < row["n_runs"] < n_seeds:
        few = f"{row['n_runs']} of {count_things(n_seeds, 'seed')}"
    if few and row["n_diverged"]:
        few, mark = f"{few}, {row['n_diverged']} diverged", "diverged"
    val = write_loss(row["val_loss"])
    if math.isfinite(row["val_step"]) and row["val_step"] != row["step"]:
        val += f" @{write_count(row['val_step'])}"
    train = Cell(write_loss(row["train_loss"]), row["train_loss"], mark=mark, detail=few)
    return [train, Cell(val, row["val_loss"], mark=mark)]


def _mean(values: Sequence[float]) -> float:
    """Mean of all values (NaN where one is), NaN of none."""
    return float(np.mean(values)) if values else math.nan
