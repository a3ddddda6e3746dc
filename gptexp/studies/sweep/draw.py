"""Chooses the parameters of the next trial. They depend on the sweep, the trial's number and the earlier trials only,
not on the process that asks."""

from __future__ import annotations

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

    No method repeats a point while untried ones are left.
    """
    points = sweep.points()
    if points is not None and sweep.file.method != "bayes":
        return points[place - 1]
    tried = [trial.params for trial in study.get_trials(deepcopy=False)]
    if sweep.file.method == "random":
        return _ask(sweep, study, optuna.samplers.RandomSampler(seed=_seed(sweep, place, 0)))
    for attempt in range(TRIES):
        # constant_liar: running trials count too, so that parallel processes don't try the same point.
        drawn = _ask(sweep, study, optuna.samplers.TPESampler(seed=_seed(sweep, place, attempt), constant_liar=True))
        if drawn not in tried:
            return drawn
    return next((point for point in points or [] if point not in tried), drawn)


def _ask(sweep: Sweep, study: Study, sampler: BaseSampler) -> dict[str, Any]:
    """Ask a sampler for a proposal on an in-memory copy, so that the journal gets a trial only in one complete line."""
    copy = optuna.create_study(direction=sweep.file.metric.goal, sampler=sampler)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy.ask({p.name: p.to_distribution() for p in sweep.file.parameters}).params


def _seed(sweep: Sweep, place: int, attempt: int) -> int:
    return int(short_hash([sweep.key, place, attempt], 8), 16)
