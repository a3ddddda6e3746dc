"""Numbers that sentences quote from the records, each with the runs that it comes from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gptexp.measures.curves import centred_mean, choose_smoothing_window, count_epochs, perplexity, train_loss_at
from gptexp.report.figures.initial_loss import tabulate_initial_losses
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import (
    count_things,
    join_words,
    write_count,
    write_loss,
    write_number,
    write_percent,
    write_range,
    write_rate,
)

SLOT = re.compile(r"\{([^{}:]+):([^{}:]+):([^{}]+)\}")
CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Quote:
    """A number in a sentence."""

    text: str
    value: float
    """Unrounded; of several seeds the mean."""
    run_ids: tuple[str, ...]
    study_key: str = ""
    """The key of the study instance that it was read from."""


@dataclass(frozen=True)
class Code:
    """A word of code in a sentence."""

    text: str


Phrase = str | Quote | Code


def fill_text(text: str, studies: Mapping[str, StudyRuns]) -> tuple[Phrase, ...] | None:
    """`text` with its slots filled; None where the records lack one of the numbers.

    Args:
        instances: by the name of their study.
    """
    phrases: list[Phrase] = []
    place = 0
    for slot in SLOT.finditer(text):
        quote = find_quote(studies.get(slot[1]), slot[2], slot[3])
        if quote is None:
            return None
        phrases += [*_split_code(text[place : slot.start()]), quote]
        place = slot.end()
    return (*phrases, *_split_code(text[place:]))


def find_quote(study: StudyRuns | None, arm_name: str, field: str) -> Quote | None:
    """The number `field` of an arm; None where study, arm or number aren't there."""
    arm = next((arm for arm in study.arms if arm.name == arm_name), None) if study else None
    if study is None or arm is None:
        return None
    name, _, argument = field.partition("@")
    if name in RUN_FIELDS:
        column, write = RUN_FIELDS[name]
        values = [float(value) for value in arm.runs[column].dropna()] if column in arm.runs else []
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return None
        return Quote(write(finite), sum(finite) / len(finite), tuple(arm.run_ids), study.key)
    if name not in ARM_FIELDS:
        return None
    found = ARM_FIELDS[name](study, arm, argument)
    if found is None or not math.isfinite(found[1]):
        return None
    return Quote(found[0], found[1], tuple(arm.run_ids), study.key)


Write = Callable[[list[float]], str]


def _each(write: Callable[[float], str]) -> Write:
    """The distinct values, written and joined: `10`, `10 and 12`."""
    return lambda values: join_words([write(value) for value in sorted(set(values))])


RUN_FIELDS: dict[str, tuple[str, Write]] = {
    **{
        name: (name, write_range)
        for name in ("final_val_loss", "final_train_loss", "best_val_loss", "initial_val_loss", "final_val_bpb")
    },
    **{
        name: (name, _each(write_count))
        for name in ("best_val_step", "last_step", "diverged_step", "vocab_size", "n_embd", "train_tokens", "max_steps")
    },
    **{name: (name, _each(write_rate)) for name in ("lr", "min_lr", "grad_clip")},
    "max_grad_norm": ("max_grad_norm", lambda values: write_number(max(values))),
    "clipped": ("clipped_fraction", lambda values: write_percent(sum(values) / len(values))),
}
"""Field -> the column of `Frames.runs` and how its values over the seeds are written."""

Found = tuple[str, float] | None


def _quote_prediction(study: StudyRuns, arm: ArmRuns, column: str) -> Found:
    data = tabulate_initial_losses(study)
    values = data.loc[data["arm"] == arm.name, column].dropna()
    return (write_loss(values.iloc[0]), float(values.iloc[0])) if len(values) else None


def _quote_perplexity(study: StudyRuns, arm: ArmRuns, column: str) -> Found:
    values = arm.runs[column].dropna().astype(float)
    value = perplexity(float(values.mean())) if len(values) else math.nan
    return write_number(value), value


def _quote_epochs(study: StudyRuns, arm: ArmRuns, _: str) -> Found:
    pairs = zip(arm.runs["tokens_seen"], arm.runs["train_tokens"], strict=True)
    value = float(np.nanmax([count_epochs(seen, size) for seen, size in pairs] or [math.nan]))
    return write_number(value, 2), value


def _quote_seeds(study: StudyRuns, arm: ArmRuns, _: str) -> Found:
    return count_things(len(arm.run_ids), "seed"), float(len(arm.run_ids))


def _quote_train_loss(study: StudyRuns, arm: ArmRuns, step: str) -> Found:
    """Mean of the ten train losses up to a step, over the runs that got there."""
    values = []
    for _, rows in first_rows(study.steps, arm).groupby("run_id"):
        if rows["step"].max() >= int(step):
            values.append(train_loss_at(rows["step"], rows["train_loss"], int(step)))
    return (write_range(values), float(np.mean(values))) if values else None


def _quote_noise(study: StudyRuns, arm: ArmRuns, _: str) -> Found:
    value = measure_noise(study, arm)[0]
    return write_loss(value), value


def _quote_drift(study: StudyRuns, arm: ArmRuns, _: str) -> Found:
    value = measure_noise(study, arm)[1]
    return write_loss(value), value


def _quote_spike(study: StudyRuns, arm: ArmRuns, what: str) -> Found:
    """Of the labelled outlier batch: its `step`, and around it `norm`, `loss` and the loss `before`."""
    spike = find_outlier(study, arm)
    if spike is None:
        return None
    value = spike[what]
    return (write_count(value) if what == "step" else write_loss(value)), value


ARM_FIELDS: dict[str, Callable[[StudyRuns, ArmRuns, str], Found]] = {
    "predicted": lambda study, arm, _: _quote_prediction(study, arm, "predicted"),
    "uniform": lambda study, arm, _: _quote_prediction(study, arm, "uniform"),
    "perplexity": lambda study, arm, _: _quote_perplexity(study, arm, "final_val_loss"),
    "initial_perplexity": lambda study, arm, _: _quote_perplexity(study, arm, "initial_val_loss"),
    "epochs": _quote_epochs,
    "seeds": _quote_seeds,
    "train_loss": _quote_train_loss,
    "noise": _quote_noise,
    "drift": _quote_drift,
    "spike": _quote_spike,
}
"""Field -> (text, value) from an instance, an arm and what stands behind the field's @."""


def first_rows(frame: pd.DataFrame, arm: ArmRuns) -> pd.DataFrame:
    return frame[frame["arm"] == arm.name]


def measure_noise(study: StudyRuns, arm: ArmRuns) -> tuple[float, float]:
    """(noise, drift) in nats of the first seed's train loss over its last half.

    noise: standard deviation of the raw loss around its smoothed curve. drift: by how much that curve fell.
    """
    rows = first_rows(study.steps, arm)
    rows = rows[rows["seed"] == rows["seed"].min()]
    losses = rows["train_loss"].to_numpy(dtype=float)
    if losses.size < 20:
        return math.nan, math.nan
    smooth = centred_mean(losses, choose_smoothing_window(losses.size))
    half = slice(losses.size // 2, None)
    residual = (losses - smooth)[half]
    return float(np.nanstd(residual)), float(smooth[half][0] - smooth[half][-1])


def find_outlier(study: StudyRuns, arm: ArmRuns) -> dict[str, float] | None:
    """The first labelled outlier batch of the arm's first seed: its step, loss, norm, and the step's loss before."""
    events = first_rows(study.events, arm)
    events = events[events["name"] == "outlier-batch"]
    rows = first_rows(study.steps, arm)
    if events.empty or rows.empty:
        return None
    step = int(events["step"].min())
    rows = rows[rows["seed"] == rows["seed"].min()].set_index("step")
    if step not in rows.index or step - 1 not in rows.index:
        return None
    return {
        "step": float(step),
        "loss": float(rows.loc[step, "train_loss"]),
        "norm": float(rows.loc[step, "grad_norm"]),
        "before": float(rows.loc[step - 1, "train_loss"]),
    }


def _split_code(text: str) -> list[Phrase]:
    """Words between backticks as code."""
    pieces = CODE.split(text)
    return [Code(piece) if number % 2 else piece for number, piece in enumerate(pieces) if piece]
