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

RUN_COLUMNS = ["arm", "label", "seed", "run_id", "outcome", "final_val_loss", "diverged_step", "bigram_loss"]


@dataclass(frozen=True)
class Ladder:
    """Final losses against the peak learning rate."""

    series: tuple[str, ...]
    """What else sets the arms apart (`warmup`, `no warmup`), one line each; a single empty text where nothing does."""
    points: pd.DataFrame
    """One row per arm: series, lr, arm, label, n_runs, n_completed, n_diverged, n_above_bigram, diverged_steps,
    final_val_loss_mean, _low, _high (95%)."""
    runs: pd.DataFrame
    """One row per run: series, lr, arm, seed, run_id, outcome, final_val_loss (NaN unless completed)."""
    summary: pd.DataFrame
    """One row per series: series, best_lr, best_loss, sensitivity_mean, _low, _high (over all rates, against the
    series' own best loss), common_mean, _low, _high (against the best loss of all series), upper_mean, _low, _high
    (likewise, over the rates from `upper_from` on), n_seeds, first_diverged_lr, first_diverged (runs),
    first_diverged_of, highest_trained_lr (the highest at which no run failed: none diverged, and none ended above the
    bigram loss)."""
    initial_loss: float
    """Mean val loss before the first step, nats per token."""
    bigram_loss: float
    """What a bigram model reaches on the same val split; NaN where the records don't say, or of several texts."""
    upper_from: float
    """The lowest of the series' best rates: from there on a rate is too high for one of them, not too low for all."""
    paired: PairedDifference | None
    """The second series' common sensitivity minus that of the first, seed by seed; None unless there are two."""


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
    rows = [
        [other.levels[arm.name] if other else "", float(rates.values[arm.name]), *row]
        for arm in study.arms
        for row in _read_runs(arm)
    ]
    runs = pd.DataFrame(rows, columns=["series", "lr", *RUN_COLUMNS])
    initial = float(study.runs["initial_val_loss"].astype(float).mean())
    if runs["final_val_loss"].isna().all() or math.isnan(initial):
        return None
    comparable = have_same_tokens(study.arms)
    points = pd.DataFrame([_sum_up_arm(rows) for _, rows in runs.groupby(["series", "lr"], sort=False)])
    summary = pd.DataFrame([_sum_up_series(name, points[points["series"] == name]) for name in names])
    upper_from = float(summary["best_lr"].min())
    initials = dict.fromkeys(names, initial) if comparable else _read_initials(study, other)
    costs = {name: _measure_costs(runs, name, initials[name], upper_from, comparable=comparable) for name in names}
    for key in ("sensitivity", "common", "upper"):
        spelled = [spell_interval(key, [seed[key] for seed in costs[name].values() if key in seed]) for name in names]
        summary[list(spelled[0])] = pd.DataFrame(spelled)
    summary["n_seeds"] = [len(costs[name]) for name in names]
    common = {name: {seed: cost["common"] for seed, cost in costs[name].items() if "common" in cost} for name in names}
    paired = compare_paired(common[names[1]], common[names[0]]) if len(names) == 2 and comparable else None
    bigram = float(runs["bigram_loss"].mean()) if comparable else math.nan
    kept = runs.drop(columns=["label", "diverged_step", "bigram_loss"])
    return Ladder(names, points, kept, summary, initial, bigram, upper_from, paired)


def _read_initials(study: StudyRuns, series: Factor | None) -> dict[str, float]:
    """Series -> mean val loss of its runs before the first step; every series on a text of its own has its own."""
    losses: dict[str, list[float]] = {}
    for arm in study.arms:
        name = series.levels[arm.name] if series else ""
        losses.setdefault(name, []).extend(arm.runs["initial_val_loss"].astype(float).dropna())
    return {name: sum(values) / len(values) if values else math.nan for name, values in losses.items()}


def _read_runs(arm: ArmRuns) -> list[list[object]]:
    losses = read_losses(arm)
    columns = ("seed", "run_id", "outcome", "diverged_step", "bigram_loss")
    return [
        [arm.name, arm.label, seed, run_id, outcome, losses.get(int(seed), math.nan), step, float(bigram)]
        for seed, run_id, outcome, step, bigram in zip(*(arm.runs[name] for name in columns), strict=True)
    ]


def _measure_costs(
    runs: pd.DataFrame, series: str, initial_loss: float, upper_from: float, *, comparable: bool
) -> dict[int, dict[str, float]]:
    """Seed -> sensitivity, common and upper (as the summary has them) of a series, of the seeds that have a result at
    every rate. The common ones need every series of that seed, on the same text.
    """
    ended = runs[runs["outcome"].isin(DONE)]
    rates = set(runs["lr"])
    found = {}
    for seed, rows in ended[ended["series"] == series].groupby("seed"):
        losses = dict(zip(rows["lr"], rows["final_val_loss"], strict=True))
        if set(losses) != rates:
            continue
        cost = {"sensitivity": lr_sensitivity(losses, initial_loss)}
        of_seed = ended[ended["seed"] == seed]
        if comparable and of_seed["lr"].size == runs[["series", "lr"]].drop_duplicates().shape[0]:
            best = min(initial_loss, float(of_seed["final_val_loss"].min()))
            upper = {rate: loss for rate, loss in losses.items() if rate >= upper_from}
            cost |= {"common": lr_sensitivity(losses, initial_loss, best)}
            cost |= {"upper": lr_sensitivity(upper, initial_loss, best)} if upper else {}
        found[int(str(seed))] = cost
    return found


def _sum_up_arm(rows: pd.DataFrame) -> dict[str, object]:
    losses = rows["final_val_loss"].dropna().tolist()
    return {
        **{name: rows[name].iloc[0] for name in ("series", "lr", "arm", "label")},
        "n_runs": len(rows),
        "n_completed": len(losses),
        "n_diverged": int(rows["outcome"].eq("diverged").sum()),
        "n_above_bigram": int((rows["final_val_loss"] > rows["bigram_loss"]).sum()),
        "diverged_steps": ", ".join(f"{step:.0f}" for step in rows["diverged_step"].dropna()),
        **spell_interval("final_val_loss", losses),
    }


def _sum_up_series(name: str, points: pd.DataFrame) -> dict[str, object]:
    unbroken = points[points["n_diverged"] == 0].dropna(subset=["final_val_loss_mean"])
    trained = unbroken[unbroken["n_above_bigram"] == 0]
    broken = points[points["n_diverged"] > 0].sort_values("lr")
    best = unbroken.sort_values("final_val_loss_mean", kind="stable").iloc[0] if len(unbroken) else None
    return {
        "series": name,
        "best_lr": best["lr"] if best is not None else math.nan,
        "best_loss": best["final_val_loss_mean"] if best is not None else math.nan,
        "first_diverged_lr": broken["lr"].iloc[0] if len(broken) else math.nan,
        "first_diverged": int(broken["n_diverged"].iloc[0]) if len(broken) else 0,
        "first_diverged_of": int(broken["n_runs"].iloc[0]) if len(broken) else 0,
        "highest_trained_lr": trained["lr"].max() if len(trained) else math.nan,
        "lowest_lr": points["lr"].min(),
        "highest_lr": points["lr"].max(),
    }
