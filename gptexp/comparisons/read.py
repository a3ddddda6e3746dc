"""Measures of arms: what each seed says, who can't tell yet, and what one arm has more than another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gptexp.measures.catalog import parse_measure, split_quantity
from gptexp.measures.measure import Measure
from gptexp.runs.run_records import list_runs_of
from gptexp.runs.study_runs import ArmRuns, StudyRuns


@dataclass(frozen=True)
class Reading:
    """One measure of one arm."""

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
    reached: Mapping[int, int] = field(default_factory=dict)
    """Seed -> the last step behind its value."""
    lost: frozenset[int] = frozenset()
    """Of a difference: seeds that leave none, since the run that is taken away diverged, or both did."""

    @property
    def seeds(self) -> set[int]:
        """Those with a value, and those that diverged."""
        return {*self.values, *self.diverged}

    def count_seeds(self) -> int:
        return len(self.seeds) + self.silent


def read_quantity(study: StudyRuns, quantity: str) -> Reading | None:
    """`arm:measure` or `arm:measure@step` of every seed, or one minus another; None where the study lacks an arm.

    Raises:
        GptexpError: a measure that there is none of, or a step that is wrong for it.
    """
    readings = [_read_named(study, name, *parse_measure(asked)) for name, asked in split_quantity(quantity)]
    known = [reading for reading in readings if reading is not None]
    if len(known) < len(readings):
        return None
    return known[0] if len(known) == 1 else _subtract(*known)


def _read_named(study: StudyRuns, name: str, measure: Measure, step: int | None) -> Reading | None:
    arm = next((arm for arm in study.arms if arm.name == name), None)
    if arm is None:
        return None
    reading = read_arm(study, arm, measure, step)
    if measure.diverged_is_high and step is None:
        # What such a run measured before it broke, its best val loss for example, doesn't stand for it.
        broken = {run.seed for run in list_runs_of(study, arm) if run.outcome == "diverged"}
        values = {seed: value for seed, value in reading.values.items() if seed not in broken}
        reading = replace(reading, values=values, diverged=frozenset(broken))
    return replace(reading, values={seed: measure.finish(value) for seed, value in reading.values.items()})


def read_arm(study: StudyRuns, arm: ArmRuns, measure: Measure, step: int | None = None) -> Reading:
    """What every seed of an arm says (before what the measure goes `through`), and which can't tell yet.

    Args:
        step: of a measure that takes one.
    """
    known_from = measure.find_needed_step(step)
    values: dict[int, float] = {}
    reached: dict[int, int] = {}
    diverged, needs, ids = set(), 0, []
    runs = list_runs_of(study, arm)
    for run in runs:
        # What happened before a run was stopped has happened: events decide by themselves what is known.
        has_all_steps = run.has_all_steps and not measure.of_whole_split
        is_known = known_from is not None and run.last_step >= known_from
        value = measure.of(run, step) if run.is_over or has_all_steps or measure.is_event or is_known else math.nan
        if math.isfinite(value):
            values[run.seed], reached[run.seed] = value, run.last_step
        elif measure.diverged_is_high and run.outcome == "diverged":
            diverged.add(run.seed)
        elif not run.is_over:
            needs = max(needs, int(run.number("max_steps")) if known_from is None else known_from)
        if run.seed in values or run.seed in diverged:
            ids.append(run.run_id)
    silent = len(runs) - len(values) - len(diverged)
    last_step = max((run.last_step for run in runs), default=0)
    return Reading(values, frozenset(diverged), silent, tuple(ids), last_step, needs, reached)


def read_so_far(study: StudyRuns, arm: ArmRuns, measure: Measure, step: int | None = None) -> dict[int, float]:
    """Seed -> what its run says as it stands, NaN where that is nothing: for tables, which name the runs that go on."""
    return {run.seed: measure.of(run, step) for run in list_runs_of(study, arm)}


def read_every_run(studies: Sequence[StudyRuns], asked: str) -> dict[str, float]:
    """Run id -> what it says of `measure` or `measure@step`; a run that can't tell, or can't tell yet, is left out.

    Raises:
        GptexpError: there is no such measure, or the step is wrong for it.
    """
    measure, step = parse_measure(asked)
    found = {}
    for study in studies:
        for arm in study.arms:
            values = read_arm(study, arm, measure, step).values
            runs = list_runs_of(study, arm)
            found.update({run.run_id: measure.finish(values[run.seed]) for run in runs if run.seed in values})
    return found


def _subtract(one: Reading, other: Reading) -> Reading:
    """Seed by seed. What diverged lies above any loss, and so does its difference from a loss; no other is known."""
    shared = one.values.keys() & other.values.keys()
    high = one.diverged & other.values.keys()
    lost = other.diverged & one.seeds
    seen = max(reading.count_seeds() for reading in (one, other))
    return Reading(
        {seed: one.values[seed] - other.values[seed] for seed in sorted(shared)},
        high,
        seen - len(shared) - len(high) - len(lost),
        tuple(dict.fromkeys([*one.run_ids, *other.run_ids])),
        min(one.last_step, other.last_step),
        max(one.needs_step, other.needs_step),
        {seed: min(one.reached[seed], other.reached[seed]) for seed in sorted(shared)},
        lost,
    )
