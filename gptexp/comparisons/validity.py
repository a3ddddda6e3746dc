"""What would make a study empty: said first, before anybody reads a number into it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gptexp.comparisons.differences import TOLD_APART, find_differences
from gptexp.comparisons.factors import read_config
from gptexp.comparisons.summary import describe_stops
from gptexp.comparisons.texts import describe_texts, have_same_tokens
from gptexp.config import RunConfig
from gptexp.names import list_needs
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.tracking.result import DONE
from gptexp.training.schedule import decay_start
from gptexp.wording import count_things

STILL_SHARE = 0.01
"""An arm whose final val loss is within this share of its first one has not begun to learn."""


def find_limits(study: StudyRuns) -> list[str]:
    """Why this study shows less than it seems to, one sentence each; empty when nothing of the kind was found.

    The checks: arms on different texts, arms without a shared seed, clipping that never fired, a warmup that no
    evaluation falls into, an arm still at its first loss, a schedule that ended before its decay, and arms that differ
    by less than their seeds do. A check only speaks where the study is about it: a warmup matters where the arms differ
    in their warmup.
    """
    if study.is_untrained:
        return []
    configs = {arm.name: read_config(arm) for arm in study.arms}
    found = [
        describe_texts(study),
        _without_pairs(study),
        _clipping_never_fired(study, configs),
        _warmup_unseen(study, configs),
        _still_at_first_loss(study),
        *(_ended_before_decay(arm, configs[arm.name]) for arm in study.arms),
        _smaller_than_seeds(study),
    ]
    return [sentence for sentence in found if sentence is not None]


def _clipping_never_fired(study: StudyRuns, configs: dict[str, RunConfig]) -> str | None:
    if len({config.grad_clip for config in configs.values()}) < 2:
        return None
    clipped = [arm for arm in study.arms if configs[arm.name].grad_clip is not None]
    fractions = pd.concat([arm.runs["clipped_fraction"] for arm in clipped]).dropna()
    if fractions.empty or fractions.max() > 0:
        return None
    norms = pd.concat([arm.runs["max_grad_norm"] for arm in clipped]).dropna()
    so_far = "" if all(arm.runs["outcome"].isin(DONE).all() for arm in clipped) else " so far"
    return (
        f"Clipping never fired{so_far}: the largest gradient norm was {norms.max():.3g}, "
        f"under the threshold of {min(c.grad_clip for c in configs.values() if c.grad_clip is not None):g}, "
        f"so these arms can't show what clipping does."
    )


def _warmup_unseen(study: StudyRuns, configs: dict[str, RunConfig]) -> str | None:
    warm = {arm: "warmup_steps" in list_needs(config.schedule) for arm, config in configs.items()}
    warmups = {config.resolved_warmup_steps for arm, config in configs.items() if warm[arm]}
    steady = not all(warm.values())
    longest = max(warmups, default=0)
    interval = min(config.eval_interval for config in configs.values())
    if longest == 0 or (len(warmups) == 1 and not steady) or longest >= interval:
        return None
    return (
        f"The warmup of {count_things(longest, 'step')} is shorter than the {interval} steps between two evaluations: "
        f"what it does to the val loss while it lasts is not seen here."
    )


def _still_at_first_loss(study: StudyRuns) -> str | None:
    still = []
    for arm in study.arms:
        runs = arm.runs.dropna(subset=["initial_val_loss", "final_val_loss"])
        first, last = runs["initial_val_loss"].mean(), runs["final_val_loss"].mean()
        if len(runs) and last > first * (1 - STILL_SHARE):
            still.append((arm.label, f"{first:.3f}, at the end {last:.3f}"))
    if not still:
        return None
    if len(still) == 1:
        return f"{still[0][0]} is still at its first loss ({still[0][1]}): it has not begun to learn."
    named = "; ".join(f"{label} ({losses})" for label, losses in still)
    return f"{len(still)} arms are still at their first loss and have not begun to learn: {named}."


def _ended_before_decay(arm: ArmRuns, config: RunConfig) -> str | None:
    if "min_lr" not in list_needs(config.schedule):
        return None
    start, last = decay_start(config), arm.runs["last_step"].max()
    if pd.isna(last) or last > start:
        return None
    if stops := describe_stops(arm.runs):
        return f"{arm.label} was stopped at step {stops}, before its decay begins after step {start}."
    return (
        f"{arm.label} ended at step {last:.0f}, before its decay began after step {start}: its schedule was not seen."
    )


def _without_pairs(study: StudyRuns) -> str | None:
    seeds = {arm.name: {int(seed) for seed in arm.runs["seed"]} for arm in study.arms}
    alone = [
        arm.label
        for arm in study.arms
        if not any(seeds[arm.name] & seeds[other.name] for other in study.arms if other is not arm)
    ]
    if len(study.arms) < 2 or not alone:
        return None
    all_alone = len(alone) == len(study.arms)
    who = "No two arms share a seed" if all_alone else f"No other arm has a seed of {', '.join(alone)}"
    return (
        f"{who}: without pairs, a difference between arms is also one of initial weights and of batches, and can't be "
        f"told from luck here."
    )


def _smaller_than_seeds(study: StudyRuns) -> str | None:
    if not have_same_tokens(study.arms):
        return None
    losses = [arm.runs["final_val_loss"].replace([np.inf, -np.inf], np.nan).dropna() for arm in study.arms]
    several = [values for values in losses if len(values) >= 2]
    if len(several) < 2:
        return None
    spread = float(np.sqrt(np.mean([values.var(ddof=1) for values in several])))
    means = [values.mean() for values in several]
    apart = max(means) - min(means)
    # Pairs tell arms apart that scatter more than they differ, where the scatter is that of the seeds.
    if apart >= spread or any(found.word in TOLD_APART for found in find_differences(study)):
        return None
    return (
        f"The arms end {apart:.3f} nats apart at most, and the seeds of one arm scatter by {spread:.3f} (standard "
        f"deviation): these arms are not told apart."
    )
