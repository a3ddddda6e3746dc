"""Numbers that claims speak of, one per seed: read from the records, never from text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from gptexp.claims.ledger import split_quantity
from gptexp.config import RunConfig
from gptexp.measures.curves import Floats, centred_mean, choose_smoothing_window, train_loss_at
from gptexp.measures.spikes import find_natural_spikes
from gptexp.runs.study_runs import ArmRuns, StudyRuns, have_all_steps
from gptexp.tracking.result import DONE
from gptexp.training.flags import find_spike

MIN_STEPS = 40
"""Fewer steps don't show how a loss scatters around its trend."""
EARLY_SHARE = 0.1
"""The part of training that counts as early."""
LOSSES = ("final_val_loss", "final_train_loss", "best_val_loss", "train_loss")
"""Fields of which a diverged run's value counts as higher than any number."""


@dataclass(frozen=True)
class Reading:
    """One quantity of one arm."""

    values: dict[int, float]
    """Seed -> value, finite ones only."""
    diverged: frozenset[int]
    """Seeds whose run diverged and therefore has no such value."""
    silent: int
    """Seeds whose run, unfinished or too short, can't tell yet."""
    run_ids: tuple[str, ...]
    last_step: int
    """The highest step that a run of the arm reached."""
    needs_step: int = 0
    """The step that the silent ones, not at their end yet, would have to get to."""
    reached: dict[int, int] = field(default_factory=dict)
    """Seed -> the last step behind its value."""

    def count_seeds(self) -> int:
        return len(self.values) + len(self.diverged) + self.silent


STEP_OF_ARGUMENT = ("train_loss", "diverged", "unstable")
"""Fields that are known from the step on that they name behind an @."""
KNOWN_FROM = {
    "initial_val_loss": 0,
    "first_train_loss": 1,
    "lr_error": 1,
    "noise": MIN_STEPS,
    "trend_per_step": MIN_STEPS,
}
"""Field -> the step from which a run can tell it that is not over. All other fields speak of whole runs."""
OF_THE_END = ("final_val_loss",)
"""Fields that only a completed run has: the evaluation over the whole val split comes after the last step. All others
are known once a run has done its steps, however it ended then."""
OF_A_STRETCH = ("noise", "trend_per_step")
"""Fields that are measured over the steps that there are: only runs that got equally far can be compared."""


def find_needed_step(field: str, argument: str) -> int | None:
    """The step from which a run can tell a field that is not over; None where only its end can."""
    if field in STEP_OF_ARGUMENT and argument:
        return int(argument)
    return KNOWN_FROM.get(field)


def read_quantity(study: StudyRuns, quantity: str) -> Reading | None:
    """`arm:field` or `arm:field@argument` of every seed, or one minus another; None where the instance lacks an arm.

    Raises:
        KeyError: a field that there is none of.
    """
    readings = [_read_arm(study, name, asked) for name, asked in split_quantity(quantity)]
    known = [reading for reading in readings if reading is not None]
    if len(known) < len(readings):
        return None
    return known[0] if len(known) == 1 else _subtract(*known)


def _subtract(one: Reading, other: Reading) -> Reading:
    """Seed by seed; a seed that diverged in either has no difference."""
    shared = one.values.keys() & other.values.keys()
    seen = max(reading.count_seeds() for reading in (one, other))
    return Reading(
        {seed: one.values[seed] - other.values[seed] for seed in sorted(shared)},
        frozenset(),
        seen - len(shared),
        tuple(dict.fromkeys([*one.run_ids, *other.run_ids])),
        min(one.last_step, other.last_step),
        max(one.needs_step, other.needs_step),
        {seed: min(one.reached[seed], other.reached[seed]) for seed in sorted(shared)},
    )


def _read_arm(study: StudyRuns, name: str, asked: str) -> Reading | None:
    arm = next((arm for arm in study.arms if arm.name == name), None)
    if arm is None:
        return None
    kind, _, argument = asked.partition("@")
    read, known_from = COLUMNS.get(kind) or FIELDS[kind], find_needed_step(kind, argument)
    values: dict[int, float] = {}
    reached: dict[int, int] = {}
    diverged, needs = set(), 0
    for _, run in arm.runs.iterrows():
        seed, at, is_over = int(run["seed"]), _last_step_of(study, run), run["outcome"] in DONE
        # What happened before a run was stopped has happened: events decide by themselves what is known.
        has_all_steps = have_all_steps(run, at) and kind not in OF_THE_END
        can_tell = is_over or has_all_steps or kind in EVENTS or (known_from is not None and at >= known_from)
        value = read(study, arm, run, argument) if can_tell else math.nan
        if math.isfinite(value):
            values[seed], reached[seed] = value, at
        elif kind in LOSSES and run["outcome"] == "diverged":
            diverged.add(seed)
        elif not is_over:
            needs = max(needs, int(run["max_steps"]) if known_from is None else known_from)
    last_step = max((_last_step_of(study, run) for _, run in arm.runs.iterrows()), default=0)
    ids = tuple(str(run["run_id"]) for _, run in arm.runs.iterrows() if int(run["seed"]) in values.keys() | diverged)
    silent = len(arm.runs) - len(values) - len(diverged)
    return Reading(values, frozenset(diverged), silent, ids, last_step, needs, reached)


Read = Callable[[StudyRuns, ArmRuns, "pd.Series", str], float]


def _column(name: str) -> Read:
    return lambda study, arm, run, _: math.nan if pd.isna(run[name]) else float(run[name])


COLUMNS: dict[str, Read] = {
    name: _column(name)
    for name in (
        "final_val_loss",
        "final_train_loss",
        "best_val_loss",
        "initial_val_loss",
        "max_grad_norm",
        "clipped_fraction",
    )
}


def _steps_of(study: StudyRuns, run: pd.Series) -> pd.DataFrame:
    own: pd.DataFrame = study.steps[study.steps["run_id"] == run["run_id"]]
    return own.drop_duplicates("step").sort_values("step")


def _last_step_of(study: StudyRuns, run: pd.Series) -> int:
    """How far a run got; of one that left no result, by its log."""
    if not pd.isna(run["last_step"]):
        return int(run["last_step"])
    rows = _steps_of(study, run)
    return int(rows["step"].max()) if len(rows) else 0


def _losses(study: StudyRuns, run: pd.Series) -> Floats:
    return _steps_of(study, run)["train_loss"].to_numpy(dtype=np.float64)


def _train_loss(study: StudyRuns, arm: ArmRuns, run: pd.Series, step: str) -> float:
    """Mean of the ten train losses up to a step; of an unfinished run too, once it got there."""
    rows = _steps_of(study, run)
    return train_loss_at(rows["step"], rows["train_loss"], int(step))


def _first_train_loss(study: StudyRuns, arm: ArmRuns, run: pd.Series, _: str) -> float:
    losses = _losses(study, run)
    return float(losses[0]) if losses.size else math.nan


def _norm(reduce: Callable[[pd.Series], float], early: bool | None) -> Read:
    """A reduction of the gradient norms of all steps, of the early ones, or of the others."""

    def read(study: StudyRuns, arm: ArmRuns, run: pd.Series, _: str) -> float:
        rows = _steps_of(study, run)
        if early is not None:
            is_early = rows["step"] <= EARLY_SHARE * float(run["max_steps"])
            rows = rows[is_early if early else ~is_early]
        norms = rows["grad_norm"]
        return float(reduce(norms)) if len(norms) else math.nan

    return read


def _largest_spike(study: StudyRuns, arm: ArmRuns, run: pd.Series, _: str) -> float:
    """The largest gradient norm among the spikes on natural data; 0 where there is none."""
    spikes = find_natural_spikes(study, _steps_of(study, run))
    return math.nan if spikes is None else max((spike.norm for spike in spikes), default=0.0)


def _noise(half: int | None) -> Read:
    """Standard deviation (nats) of the train loss around its smoothed curve, after the early steps.

    Args:
        half: 0 for the first half of those steps, 1 for the second, None for all.
    """

    def read(study: StudyRuns, arm: ArmRuns, run: pd.Series, _: str) -> float:
        around = _around_trend(_losses(study, run))
        if around is None:
            return math.nan
        return float(np.std(around if half is None else np.array_split(around, 2)[half]))

    return read


def _around_trend(losses: Floats) -> Floats | None:
    if losses.size < MIN_STEPS or not np.isfinite(losses).all():
        return None
    around = losses - centred_mean(losses, choose_smoothing_window(losses.size))
    return around[math.ceil(EARLY_SHARE * losses.size) :]


def _trend_per_step(study: StudyRuns, arm: ArmRuns, run: pd.Series, _: str) -> float:
    """By how much the smoothed train loss changes from one step to the next (mean size), after the early steps."""
    losses = _losses(study, run)
    if losses.size < MIN_STEPS or not np.isfinite(losses).all():
        return math.nan
    smooth = centred_mean(losses, choose_smoothing_window(losses.size))
    return float(np.abs(np.diff(smooth[math.ceil(EARLY_SHARE * losses.size) :])).mean())


def _val_rise(study: StudyRuns, arm: ArmRuns, run: pd.Series, _: str) -> float:
    """How far the last val loss lies above the lowest, on the same windows."""
    curve = study.val_curve
    rows = curve[(curve["run_id"] == run["run_id"]) & (curve["step"] > 0)].sort_values("step")
    return float(rows["val_loss"].iloc[-1] - rows["val_loss"].min()) if len(rows) > 1 else math.nan


def _lr_error(study: StudyRuns, arm: ArmRuns, run: pd.Series, _: str) -> float:
    """The largest distance of a recorded learning rate from the planned one, as a share of the peak."""
    from gptexp.training.schedule import SCHEDULES

    rows = _steps_of(study, run)
    known = {name: run[name] for name in ("lr", "min_lr", "schedule", "max_steps", "warmup_steps", "decay_steps")}
    config = RunConfig.model_validate({name: value for name, value in known.items() if not pd.isna(value)})
    rate = SCHEDULES.find(config.schedule).rate
    errors = [abs(lr - rate(int(step), config)) for step, lr in zip(rows["step"], rows["lr"], strict=True)]
    return max(errors) / config.lr if errors else math.nan


def _diverged_at(study: StudyRuns, run: pd.Series) -> float | None:
    """Where a loss or gradient stopped being finite; of a run that left no result, by its log."""
    if not pd.isna(run["diverged_step"]):
        return float(run["diverged_step"])
    if not pd.isna(run["last_step"]):
        return None
    rows = _steps_of(study, run)
    broken = rows[~np.isfinite(rows[["train_loss", "grad_norm"]].to_numpy(dtype=np.float64)).all(axis=1)]
    return float(broken["step"].min()) if len(broken) else None


def _happened_by(study: StudyRuns, run: pd.Series, step: float | None, at: float | None) -> float:
    """1 where an event lies at or before a step, 0 where the run got that far without; NaN where it can't tell."""
    if at is not None and (step is None or at <= step):
        return 1.0
    last_step = _last_step_of(study, run)
    done = have_all_steps(run, last_step) if step is None else last_step >= step
    return 0.0 if done else math.nan


def _diverged(study: StudyRuns, arm: ArmRuns, run: pd.Series, step: str) -> float:
    """Whether a loss or gradient stopped being finite, by a step where one is named."""
    return _happened_by(study, run, float(step) if step else None, _diverged_at(study, run))


def _unstable(study: StudyRuns, arm: ArmRuns, run: pd.Series, step: str) -> float:
    """Whether the loss spiked (the published rule of the flag) or stopped being finite, by a step."""
    spike = find_spike(_losses(study, run).tolist())
    found = [float(at) for at in (spike and spike["step"], _diverged_at(study, run)) if at]
    return _happened_by(study, run, float(step), min(found) if found else None)


FIELDS: dict[str, Read] = {
    "train_loss": _train_loss,
    "first_train_loss": _first_train_loss,
    "median_grad_norm": _norm(lambda norms: norms.median(), None),
    "largest_spike": _largest_spike,
    "early_max_norm": _norm(lambda norms: norms.max(), True),
    "late_max_norm": _norm(lambda norms: norms.max(), False),
    "noise": _noise(None),
    "early_noise": _noise(0),
    "late_noise": _noise(1),
    "trend_per_step": _trend_per_step,
    "val_rise": _val_rise,
    "lr_error": _lr_error,
    "diverged": _diverged,
    "unstable": _unstable,
}
"""Field -> how it is read from one run."""

EVENTS = ("diverged", "unstable")
"""Fields that are 1 where something happened, and 0 where it didn't."""

NATS_FIELDS = frozenset(
    {"final_val_loss", "final_train_loss", "best_val_loss", "initial_val_loss", "train_loss", "first_train_loss"}
    | {"noise", "early_noise", "late_noise", "trend_per_step", "val_rise"}
)
"""Fields in nats per token: they depend on what a token is."""
