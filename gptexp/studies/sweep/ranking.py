"""Ranks the trials of a sweep, and measures the importance of its parameters."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from gptexp.studies.sweep.journal import SweepJournal, TrialRow, newest_by_place

ORDER = ("completed", "pruned", "diverged", "failed", "running", "stopped")
RANKED = ("completed", "pruned", "diverged")
"""States that count as a result. Diverged trials count and rank last."""
FEWEST_TRIALS = 10
"""Fewest completed trials for which importance is measured."""
ROUGH_TRIALS = 20
"""Below this number of completed trials, importance is called rough."""
BEST_SHARE = 0.3
"""Importance compares this share of the trials, the best ones, with all trials."""


@dataclass(frozen=True)
class Importance:
    """How much each parameter determines whether a trial is among the best."""

    shares: dict[str, float]
    """Parameter -> share, largest first; they sum to 1. Empty if importance can't be measured."""
    note: str
    """The method and number of trials, or why there is no importance."""


def rank_trials(rows: Sequence[TrialRow], goal: str) -> list[TrialRow]:
    """Trials, best first: completed ones by metric, then pruned ones by last evaluation, then diverged, then others."""
    sign = 1 if goal == "minimize" else -1

    def key(row: TrialRow) -> tuple[int, float, int]:
        known = row.value is not None and math.isfinite(row.value)
        return ORDER.index(row.state), sign * row.value if known and row.value is not None else math.inf, row.place

    return sorted(rows, key=key)


def measure_importance(journal: SweepJournal) -> Importance:
    """How much each parameter determines whether a completed trial is among the best.

    PED-ANOVA compares the distribution of the best trials with that of all trials. It works with trials of any search
    method and needs only NumPy, while fANOVA needs scikit-learn.

    Source: Watanabe et al., PED-ANOVA, IJCAI 2023 (https://arxiv.org/abs/2304.10255).
    """
    trials = newest_by_place(journal.study.get_trials(deepcopy=False)).values()
    finite = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None and math.isfinite(t.value)]
    names = [parameter.name for parameter in journal.sweep.file.parameters]
    if len(names) < 2:
        return Importance({}, "one searched parameter: nothing to weigh against")
    if len(finite) < FEWEST_TRIALS:
        return Importance({}, f"too few completed trials to say ({len(finite)}, {FEWEST_TRIALS} needed)")
    copy = optuna.create_study(direction=journal.sweep.file.metric.goal)
    copy.add_trials(finite)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
        shares = optuna.importance.get_param_importances(copy, evaluator=evaluator, params=names)
    note = f"PED-ANOVA over {len(finite)} completed trials, the best {BEST_SHARE:.0%} against all"
    if len(finite) < ROUGH_TRIALS:
        note += f"; rough below {ROUGH_TRIALS} trials"
    return Importance({name: float(share) for name, share in shares.items()}, note)
