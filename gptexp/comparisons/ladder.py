"""What a ladder of learning rates shows: the final loss at each rate, where runs break, what a wrong rate costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from gptexp.comparisons.differences import find_ladder, read_losses
from gptexp.comparisons.factors import Factor
from gptexp.comparisons.speed import spell_interval
from gptexp.comparisons.stats import PairedDifference, compare_paired, lr_sensitivity
from gptexp.comparisons.texts import have_same_tokens
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.tracking.result import DONE


@dataclass(frozen=True)
class Ladder:
    """Final losses against the peak learning rate."""

    series: tuple[str, ...]
    """What else sets the arms apart (`warmup`, `no warmup`), one line each; a single empty text where nothing does."""
    points: pd.DataFrame
    """One row per arm: series, lr, arm, label, n_runs, n_completed, n_diverged, diverged_steps,
    final_val_loss_mean, _low, _high (95%)."""
    runs: pd.DataFrame
    """One row per run: series, lr, arm, seed, run_id, outcome, final_val_loss (NaN unless completed)."""
    summary: pd.DataFrame
    """One row per series: series, best_lr, best_loss, sensitivity_mean, _low, _high, n_seeds, first_diverged_lr,
    first_diverged (runs), first_diverged_of, highest_whole_lr (the highest at which no run diverged)."""
    initial_loss: float
    """Mean val loss before the first step, nats per token."""
    paired: PairedDifference | None
    """LR sensitivity of the second series minus that of the first, seed by seed; None unless there are two."""


def read_ladder(study: StudyRuns) -> Ladder | None:
    """The ladder of an instance; None where it is none, or no run of it completed.

    LR sensitivity is reckoned seed by seed over all rates of the study; a seed of which some rate has no result yet
    gives none.
    """
    found = find_ladder(study)
    if found is None:
        return None
    rates, other = found
    names = tuple(other.ordered) if other else ("",)
    runs = pd.DataFrame(
        [
            [other.levels[arm.name] if other else "", float(rates.values[arm.name]), *row]
            for arm in study.arms
            for row in _read_runs(arm)
        ],
        columns=["series", "lr", "arm", "label", "seed", "run_id", "outcome", "final_val_loss", "diverged_step"],
    )
    initial = float(study.runs["initial_val_loss"].astype(float).mean())
    if runs["final_val_loss"].isna().all() or math.isnan(initial):
        return None
    every = set(runs["lr"])
    comparable = have_same_tokens(study.arms)
    initials = dict.fromkeys(names, initial) if comparable else _read_initials(study, other)
    sensitivities = {name: _measure_sensitivity(runs[runs["series"] == name], every, initials[name]) for name in names}
    points = pd.DataFrame([_sum_up_arm(rows) for _, rows in runs.groupby(["series", "lr"], sort=False)])
    summary = pd.DataFrame(
        [_sum_up_series(name, points[points["series"] == name], list(sensitivities[name].values())) for name in names]
    )
    paired = (
        compare_paired(sensitivities[names[1]], sensitivities[names[0]]) if len(names) == 2 and comparable else None
    )
    return Ladder(names, points, runs.drop(columns=["label", "diverged_step"]), summary, initial, paired)


def _read_initials(study: StudyRuns, series: Factor | None) -> dict[str, float]:
    """Series -> mean val loss of its runs before the first step; every series on a text of its own has its own."""
    losses: dict[str, list[float]] = {}
    for arm in study.arms:
        name = series.levels[arm.name] if series else ""
        losses.setdefault(name, []).extend(arm.runs["initial_val_loss"].astype(float).dropna())
    return {name: sum(values) / len(values) if values else math.nan for name, values in losses.items()}


def _read_runs(arm: ArmRuns) -> list[list[object]]:
    losses = read_losses(arm)
    return [
        [arm.name, arm.label, seed, run_id, outcome, losses.get(int(seed), math.nan), step]
        for seed, run_id, outcome, step in zip(
            arm.runs["seed"], arm.runs["run_id"], arm.runs["outcome"], arm.runs["diverged_step"], strict=True
        )
    ]


def _measure_sensitivity(runs: pd.DataFrame, rates: set[float], initial_loss: float) -> dict[int, float]:
    """Seed -> LR sensitivity, of the seeds that have a result at every rate."""
    ended = runs[runs["outcome"].isin(DONE)]
    found = {}
    for seed, rows in ended.groupby("seed"):
        losses = dict(zip(rows["lr"], rows["final_val_loss"], strict=True))
        if set(losses) == rates:
            found[int(str(seed))] = lr_sensitivity(losses, initial_loss)
    return found


def _sum_up_arm(rows: pd.DataFrame) -> dict[str, object]:
    losses = rows["final_val_loss"].dropna().tolist()
    return {
        **{name: rows[name].iloc[0] for name in ("series", "lr", "arm", "label")},
        "n_runs": len(rows),
        "n_completed": len(losses),
        "n_diverged": int(rows["outcome"].eq("diverged").sum()),
        "diverged_steps": ", ".join(f"{step:.0f}" for step in rows["diverged_step"].dropna()),
        **spell_interval("final_val_loss", losses),
    }


def _sum_up_series(name: str, points: pd.DataFrame, sensitivities: list[float]) -> dict[str, object]:
    whole = points[(points["n_diverged"] == 0) & (points["n_completed"] > 0)]
    broken = points[points["n_diverged"] > 0].sort_values("lr")
    ended = points[points["n_diverged"] == 0].dropna(subset=["final_val_loss_mean"])
    best = ended.sort_values("final_val_loss_mean", kind="stable").iloc[0] if len(ended) else None
    return {
        "series": name,
        "best_lr": best["lr"] if best is not None else math.nan,
        "best_loss": best["final_val_loss_mean"] if best is not None else math.nan,
        **spell_interval("sensitivity", sensitivities),
        "n_seeds": len(sensitivities),
        "first_diverged_lr": broken["lr"].iloc[0] if len(broken) else math.nan,
        "first_diverged": int(broken["n_diverged"].iloc[0]) if len(broken) else 0,
        "first_diverged_of": int(broken["n_runs"].iloc[0]) if len(broken) else 0,
        "highest_whole_lr": whole["lr"].max() if len(whole) else math.nan,
        "lowest_lr": points["lr"].min(),
        "highest_lr": points["lr"].max(),
    }
