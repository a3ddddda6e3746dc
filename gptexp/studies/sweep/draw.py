"""Chooses the parameters of the next trial. They depend on the sweep, the trial's number and the earlier trials only,
not on the process that asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import optuna

from gptexp.identity import short_hash
from gptexp.studies.sweep.trial import Sweep

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study

TRIES = 20
"""How often a Bayesian search draws again if it got a point that was already tried."""


def draw_trial(sweep: Sweep, study: Study, place: int) -> dict[str, Any]:
    """The parameters, in Optuna's representation, of the trial at `place` (numbered from 1).

    - grid: the points in order.
    - random: the points in shuffled order; independent draws if there are continuous ranges.
    - bayes: the proposal of Optuna's TPE sampler, given the trials so far.

    No method repeats a point while untried ones are left. With several seeds each drawn point gets all of them.
    """
    points = sweep.points()
    if points is not None and sweep.file.method != "bayes":
        return points[place - 1]
    seeds = next(p.draws() for p in sweep.file.parameters if p.name == "seed") if sweep.seeds > 1 else None
    if seeds is not None:
        first = place - (place - 1) % sweep.seeds
        drawn = _draw_point(sweep, study, first)
        return {**drawn, "seed": seeds[place - first]}
    return _draw_point(sweep, study, place)


def _draw_point(sweep: Sweep, study: Study, place: int) -> dict[str, Any]:
    """A point of a search that goes over ranges or by earlier trials; of several seeds that of the first."""
    trials = study.get_trials(deepcopy=False)
    # A point that was tried with one seed was tried.
    tried = [drop_seed(sweep, trial.params) for trial in trials]
    if sweep.seeds > 1 and (own := [t.params for t in trials if t.user_attrs.get("place") == place]):
        return own[0]
    if sweep.file.method == "random":
        return _ask(sweep, study, optuna.samplers.RandomSampler(seed=_seed(sweep, place, 0)))
    for attempt in range(TRIES):
        # constant_liar: running trials count too, so that parallel processes don't try the same point.
        drawn = _ask(sweep, study, optuna.samplers.TPESampler(seed=_seed(sweep, place, attempt), constant_liar=True))
        if drop_seed(sweep, drawn) not in tried:
            return drawn
    return next((point for point in sweep.points() or [] if drop_seed(sweep, point) not in tried), drawn)


def drop_seed(sweep: Sweep, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a point from others: of a sweep with several seeds a point not its seed."""
    return {name: value for name, value in drawn.items() if name != "seed" or sweep.seeds == 1}


def _ask(sweep: Sweep, study: Study, sampler: BaseSampler) -> dict[str, Any]:
    """Ask a sampler for a proposal on an in-memory copy, so that the journal gets a trial only in one complete line."""
    copy = optuna.create_study(direction=sweep.file.metric.goal, sampler=sampler)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy.ask({p.name: p.to_distribution() for p in sweep.file.parameters}).params


def _seed(sweep: Sweep, place: int, attempt: int) -> int:
    return int(short_hash([sweep.key, place, attempt], 8), 16)
