"""Sentences on what the factors of a study do, in numbers taken from its paired differences and its ladder."""

from __future__ import annotations

import math

import pandas as pd

from gptexp.comparisons.differences import NOT_TOLD_APART, TOLD_APART, Difference, find_differences, judge
from gptexp.comparisons.ladder import Ladder, read_ladder
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import count_things, write_change, write_interval, write_loss, write_rate


def note_differences(study: StudyRuns) -> list[str]:
    """Main effects of crossed factors, and what a ladder of rates comes to; nothing for other studies."""
    effects = [found for found in find_differences(study) if found.kind == "main effect" and found.paired]
    texts = [_state_effect(found) for found in effects]
    ladder = read_ladder(study)
    return texts + (_state_ladder(ladder) if ladder else [])


def _state_effect(found: Difference) -> str:
    """`warmup against no warmup, averaged over constant and cosine: +0.0059 [...], higher.`"""
    assert found.paired is not None
    interval = found.paired.interval
    low, high = (math.nan if end is None else end for end in (interval.low, interval.high))
    text = (
        f"{found.what} against {found.against}: {write_change(interval.mean)} {write_interval(low, high, write_change)}"
    )
    return f"{text.strip()} nats, {found.word}."


def _state_ladder(ladder: Ladder) -> list[str]:
    texts = [_state_series(row) for _, row in ladder.summary.iterrows()]
    if ladder.paired and ladder.paired.interval.n > 1:
        one, other = ladder.series
        word = judge(ladder.paired)
        size = write_change(ladder.paired.interval.mean)
        side = f"is {word} between {one} and {other}"
        if word != NOT_TOLD_APART:
            side = f"{f'is {word}' if word in TOLD_APART else word} for {other} than for {one}"
        texts.append(
            f"Against the lowest loss of both, LR sensitivity {side} ({size} over "
            f"{count_things(ladder.paired.interval.n, 'pair')} of seeds)."
        )
    return texts


def _state_series(row: pd.Series) -> str:
    """`warmup: lowest at 1e-3 (val loss 1.874), LR sensitivity 0.540 [...]; runs diverge from 3e-2 on (2 of 3).`"""
    if row["lowest_lr"] == row["highest_lr"]:
        return f"{row['series'] or 'All arms'}: one rate so far, {write_rate(row['best_lr'])}, where no rate is best."
    parts = [f"lowest at rate {write_rate(row['best_lr'])} (val loss {write_loss(row['best_loss'])})"]
    if row["n_seeds"]:
        parts.append(f"LR sensitivity {_write_cost(row, 'sensitivity')}")
        if row["series"] and not math.isnan(row["common_mean"]):
            parts.append(f"against the lowest loss of all arms {_write_cost(row, 'common')}")
    text = ", ".join(parts)
    if math.isnan(row["first_diverged_lr"]):
        trained = row["highest_trained_lr"]
        text += f"; no run diverged up to rate {write_rate(row['highest_lr'])}"
        if trained != row["highest_lr"]:
            which = (
                "at no rate do all runs end" if math.isnan(trained) else f"rate {write_rate(trained)} is the highest"
            )
            end = "" if math.isnan(trained) else " at which all runs end"
            text += f", but {which}{end} under the bigram loss"
    else:
        count = f"{row['first_diverged']} of {count_things(row['first_diverged_of'], 'run')}"
        text += f"; runs start to diverge at rate {write_rate(row['first_diverged_lr'])} ({count} there)"
    return f"{row['series'] or 'All arms'}: {text}."


def _write_cost(row: pd.Series, name: str) -> str:
    """`0.540 [0.512, 0.568]`"""
    interval = write_interval(row[f"{name}_low"], row[f"{name}_high"])
    return f"{write_loss(row[f'{name}_mean'])} {interval}".strip()
