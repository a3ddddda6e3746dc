"""W&B's Hyperband early stopping, as an Optuna pruner."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial


class BandPruner(BasePruner):
    """At certain evaluations a trial continues only if it is among the best 1/eta that have reached them so far.

    Like a W&B sweep it uses one asynchronous bracket that counts evaluations. Optuna's own HyperbandPruner distributes
    trials over several brackets, so it would stop other trials than W&B does for the same file.

    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, 2020, Algorithm 2.
    """

    def __init__(self, bands: Sequence[int], eta: int) -> None:
        """Store the rule.

        Args:
            bands: numbers of the evaluations (from 1) at which trials are compared, ascending.
            eta: the best 1/eta of the trials continue.
        """
        self._bands = tuple(bands)
        self._eta = eta

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial's last evaluation is one of `bands` and is not among the best 1/eta there."""
        band = trial.last_step
        if band not in self._bands:
            return False
        sign = 1 if study.direction == StudyDirection.MINIMIZE else -1
        own = sign * trial.intermediate_values[band]
        if math.isnan(own):
            return True
        others = [
            t.intermediate_values[band] for t in study.get_trials(deepcopy=False) if band in t.intermediate_values
        ]
        values = sorted(sign * value for value in others if not math.isnan(value))
        return own > values[math.ceil(len(values) / self._eta) - 1]
