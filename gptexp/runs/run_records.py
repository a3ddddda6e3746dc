"""One run of a study with its records in order: what measures are read from."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from gptexp.measures.curves import Floats, find_nearest
from gptexp.measures.ends import has_all_steps
from gptexp.runs.study_runs import ArmRuns, StudyRuns, read_number
from gptexp.tracking.result import DONE

NEAR = 0.2
"""The farthest evaluation that may stand for a step, as a share of the step."""


class RunRecords:
    """One run of an arm. Nothing is read before it is asked for, and then once."""

    def __init__(self, study: StudyRuns, row: Mapping[str, Any]) -> None:
        """Args:
        row: the run's row of `Frames.runs`.
        """
        self.study = study
        self.row = row
        self.run_id = str(row["run_id"])
        self.seed = int(row["seed"])
        self.outcome = str(row["outcome"])

    def number(self, column: str) -> float:
        """A cell of the run's row, NaN where it holds no number."""
        return read_number(self.row.get(column))

    @property
    def is_over(self) -> bool:
        return self.outcome in DONE

    @functools.cached_property
    def steps(self) -> pd.DataFrame:
        """The run's rows of `StudyRuns.steps`: each step once, in order."""
        own: pd.DataFrame = self.study.steps.iloc[_find_rows(self.study, "steps", self.run_id)]
        return own.iloc[np.unique(own["step"].to_numpy(), return_index=True)[1]]

    @functools.cached_property
    def step_numbers(self) -> Floats:
        return self.steps["step"].to_numpy(dtype=np.float64)

    @functools.cached_property
    def train_losses(self) -> Floats:
        """Nats per token, float64 (n,), one for each of `step_numbers`."""
        return self.steps["train_loss"].to_numpy(dtype=np.float64)

    @property
    def begins_at_first_step(self) -> bool:
        """Whether its own log has step 1: that of a fork begins behind its fork."""
        return bool(self.step_numbers.size) and self.step_numbers[0] == 1

    @property
    def last_logged_step(self) -> int:
        return int(self.step_numbers[-1]) if self.step_numbers.size else 0

    @property
    def last_step(self) -> int:
        """How far the run got; of one that left no result, by its log."""
        known = self.number("last_step")
        return self.last_logged_step if math.isnan(known) else int(known)

    @property
    def has_all_steps(self) -> bool:
        return has_all_steps(self.outcome, self.last_step, self.number("max_steps"))

    @functools.cached_property
    def diverged_at(self) -> float | None:
        """Where a loss or gradient stopped being finite; of a run that left no result, by its log."""
        known = self.number("diverged_step")
        if not math.isnan(known):
            return known
        if not math.isnan(self.number("last_step")):
            return None
        values = self.steps[["train_loss", "grad_norm"]].to_numpy(dtype=np.float64)
        broken = self.step_numbers[~np.isfinite(values).all(axis=1)]
        return float(broken[0]) if broken.size else None

    @functools.cached_property
    def evals(self) -> pd.DataFrame:
        """The run's rows of `StudyRuns.val_curve`, in order."""
        own: pd.DataFrame = self.study.val_curve.iloc[_find_rows(self.study, "val_curve", self.run_id)]
        return own.sort_values("step", kind="stable")

    def find_eval(self, step: int) -> tuple[float, float]:
        """(step, val loss) of the evaluation after the first step that is nearest to `step`; NaN where none is near."""
        trained = self.evals[self.evals["step"] > 0]
        steps = trained["step"].to_numpy(dtype=np.float64)
        place = find_nearest(steps, step)
        if place is None or abs(steps[place] - step) > NEAR * step:
            return math.nan, math.nan
        return float(steps[place]), float(trained["val_loss"].iloc[place])

    @property
    def outlier_step(self) -> float:
        """The first step whose batch was made to be an outlier, NaN where there is none."""
        return min(self.made_steps, default=math.nan)

    @property
    def made_steps(self) -> frozenset[int]:
        """The steps whose batch was made to be an outlier."""
        made = self.study.outliers
        return frozenset(int(step) for step in made.loc[made["run_id"] == self.run_id, "step"])


def list_runs_of(study: StudyRuns, arm: ArmRuns) -> tuple[RunRecords, ...]:
    """The runs of an arm, in the order of their seeds."""
    key = ("runs of", arm.name)
    if key not in study.kept:
        study.kept[key] = tuple(RunRecords(study, cast(dict[str, Any], row)) for row in arm.runs.to_dict("records"))
    found: tuple[RunRecords, ...] = study.kept[key]
    return found


def _find_rows(study: StudyRuns, frame: str, run_id: str) -> Any:
    """Where in a frame of a study the rows of a run lie: int64 (n,)."""
    key = ("rows of", frame)
    if key not in study.kept:
        study.kept[key] = getattr(study, frame).groupby("run_id", sort=False).indices
    return study.kept[key].get(run_id, np.empty(0, dtype=np.intp))
