"""What a sweep found: its trials in order, and which parameters mattered."""

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
"""States that are a result; a diverged trial is one, and the last."""
FEWEST_TRIALS = 10
ROUGH_TRIALS = 20
BEST_SHARE = 0.3
"""Importance asks what sets this share of the trials, the best, apart from the rest."""


@dataclass(frozen=True)
class Importance:
    """How much each parameter decides whether a trial is among the best; the shares sum to 1."""

    shares: dict[str, float]
    """Largest first; empty where nothing can be said."""
    note: str
    """What it rests on, or why there is none."""


def rank_trials(rows: Sequence[TrialRow], goal: str) -> list[TrialRow]:
    """Best first: completed trials by their metric, pruned ones by their last evaluation, diverged ones, the rest."""
    sign = 1 if goal == "minimize" else -1

    def key(row: TrialRow) -> tuple[int, float, int]:
        known = row.value is not None and math.isfinite(row.value)
        return ORDER.index(row.state), sign * row.value if known and row.value is not None else math.inf, row.place

    return sorted(rows, key=key)


def measure_importance(journal: SweepJournal) -> Importance:
    """Which parameters decide whether a completed trial is among the best.

    PED-ANOVA compares where the best trials lie with where all lie. It needs nothing but NumPy and takes trials from
    any search, where fANOVA would need scikit-learn.

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
