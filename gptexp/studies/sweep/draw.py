"""What the next trial tries. The answer follows from the sweep, the place and the trials before, not from who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna

from gptexp.config import short_hash
from gptexp.studies.sweep.trial import Sweep

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study

TRIES = 20
"""Draws of a Bayesian search before a point that was already tried is taken again."""


def draw_trial(sweep: Sweep, study: Study, place: int) -> dict[str, Any]:
    """The draw for the trial at `place` (from 1): by parameter, as Optuna holds it.

    grid takes the points in order, random a shuffled list of them (or, from ranges, independent draws), bayes what
    Optuna's TPE proposes after the trials so far. None of them repeats a point while there are others.
    """
    points = sweep.points()
    if points is not None and sweep.file.method != "bayes":
        return points[place - 1]
    tried = [trial.params for trial in study.get_trials(deepcopy=False)]
    if sweep.file.method == "random":
        return _ask(sweep, study, optuna.samplers.RandomSampler(seed=_seed(sweep, place, 0)))
    for attempt in range(TRIES):
        # A searched point counts while it runs, so that processes at work together don't try the same.
        drawn = _ask(sweep, study, optuna.samplers.TPESampler(seed=_seed(sweep, place, attempt), constant_liar=True))
        if drawn not in tried:
            return drawn
    return next((point for point in points or [] if point not in tried), drawn)


def _ask(sweep: Sweep, study: Study, sampler: BaseSampler) -> dict[str, Any]:
    """What a sampler proposes, asked on a copy in memory: the journal gets the trial whole, or not at all."""
    copy = optuna.create_study(direction=sweep.file.metric.goal, sampler=sampler)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy.ask({p.name: p.to_distribution() for p in sweep.file.parameters}).params


def _seed(sweep: Sweep, place: int, attempt: int) -> int:
    return int(short_hash([sweep.key, place, attempt], 8), 16)
