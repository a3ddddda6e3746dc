"""What sets the arms of a study apart: its factors, and whether the arms cross two of them completely."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gptexp.comparisons.texts import name_corpora
from gptexp.config import RunConfig, revive_config
from gptexp.names import list_needs
from gptexp.runs.study_runs import ArmRuns, StudyRuns

STEADY = "constant"
SPELLED_OUT = {"schedule", "warmup_steps", "min_lr", "decay_steps", "seed", "checkpoint_interval"}
"""Config fields that are no factors themselves: the schedule's are described as warmup and decay."""
FINAL_RATE = "final rate"
FOLLOWING = (FINAL_RATE, "vocab_size", "sample_prompt")
"""What no arm is about where it follows from another factor: the tokens of a text, a prompt that it can write."""
WORDS: dict[str, Callable[[Any], str]] = {
    "warmup": lambda steps: "warmup" if steps else "no warmup",
    "decay": str,
    "grad_clip": lambda limit: "no clipping" if limit is None else f"clipping at {limit:g}",
    "outlier_at": lambda share: "no outlier batch" if share is None else "outlier batch",
    "norm": lambda place: f"{place}-LN",
    "precision": str,
}
"""How the levels of a factor are called."""
MOST_LEVELS = 4
"""Levels up to which a factor has effects to state; one with more is a scale, and belongs on an axis."""


@dataclass(frozen=True)
class Factor:
    """One thing in which arms differ."""

    name: str
    """A config field, or warmup, decay, final rate."""
    levels: Mapping[str, str]
    """ArmRuns -> its level, in words."""
    values: Mapping[str, Any]
    """ArmRuns -> the value behind the level."""

    @property
    def ordered(self) -> list[str]:
        """The levels, in the order in which the study first has them."""
        return list(dict.fromkeys(self.levels.values()))


def read_config(arm: ArmRuns) -> RunConfig:
    """The config of an arm's first run; but for the seed it is that of all of them."""
    row = arm.runs.iloc[0]
    return revive_config({name: _plain(row[name]) for name in RunConfig.model_fields if name in row.index})


def name_decay(schedule: str) -> str:
    """How a schedule comes down: `constant` where it doesn't, else cosine, linear, wsd."""
    return schedule.removeprefix("warmup-") if "min_lr" in list_needs(schedule) else STEADY


def find_factors(study: StudyRuns) -> list[Factor]:
    """The factors of a study: everything in which arms differ and that does not follow from another factor.

    The schedule counts as two, warmup and decay; a final rate that follows from the decay doesn't count. Two that
    always change together are one, with both in its name: they can't be told apart.
    """
    configs = {arm.name: read_config(arm) for arm in study.arms}
    corpora = name_corpora(study.runs)
    texts = {arm.name: corpora[str(arm.runs["corpus_checksum"].iloc[0])] for arm in study.arms}
    found: list[Factor] = []
    for name, read in _list_readers().items():
        # Two texts of one name are two levels.
        values = texts if name == "corpus" else {arm: read(config) for arm, config in configs.items()}
        factor = Factor(name, _write_levels(name, values), values)
        if len(factor.ordered) < 2:
            continue
        twin = next((known for known in found if _determines(known, factor) and _determines(factor, known)), None)
        if twin and name not in FOLLOWING:
            found[found.index(twin)] = combine(twin, factor)
        elif not any(_determines(known, factor) for known in found):
            found = [known for known in found if not _determines(factor, known)] + [factor]
    return found


def find_crossed(study: StudyRuns) -> tuple[Factor, Factor] | None:
    """The two factors of a study whose arms are every combination of their levels, each once; else None."""
    factors = find_factors(study)
    if len(factors) != 2:
        return None
    first, second = factors
    cells = {(first.levels[arm.name], second.levels[arm.name]) for arm in study.arms}
    full = len(cells) == len(study.arms) == len(first.ordered) * len(second.ordered)
    return (first, second) if full else None


def count_warmup(config: RunConfig) -> int:
    """Steps of the warmup, 0 of a schedule that has none."""
    return config.resolved_warmup_steps if "warmup_steps" in list_needs(config.schedule) else 0


def _list_readers() -> dict[str, Callable[[RunConfig], Any]]:
    """Factor -> how to read it from a config."""
    fields = [name for name in RunConfig.model_fields if name not in SPELLED_OUT]
    return {
        "warmup": count_warmup,
        "decay": lambda config: name_decay(config.schedule),
        **{name: _read_field(name) for name in sorted(fields, key=lambda name: name not in ("corpus", "tokenizer"))},
        FINAL_RATE: _read_final_rate,
    }


def _read_field(name: str) -> Callable[[RunConfig], Any]:
    return lambda config: getattr(config, name)


def _read_final_rate(config: RunConfig) -> float:
    """The last learning rate as a share of the peak."""
    decays = name_decay(config.schedule) != STEADY
    return float(f"{config.resolved_min_lr / config.lr:.6g}") if decays and config.lr else 1.0


def _determines(one: Factor, other: Factor) -> bool:
    """Whether the level of `one` always tells that of `other`."""
    pairs = {(one.levels[arm], other.levels[arm]) for arm in one.levels}
    return len(pairs) == len(one.ordered)


def combine(one: Factor, other: Factor) -> Factor:
    """Two factors as one: its levels are the combinations that arms have."""
    levels = {arm: f"{one.levels[arm]}, {other.levels[arm]}" for arm in one.levels}
    return Factor(f"{one.name} and {other.name}", levels, one.values)


def _write_levels(name: str, values: Mapping[str, Any]) -> dict[str, str]:
    """ArmRuns -> its level in words; with the number in it where words alone would make two levels one."""
    words = {arm: WORDS.get(name, lambda _: "")(value) for arm, value in values.items()}
    if all(words.values()) and len(set(words.values())) == len(set(values.values())):
        return words
    return {arm: f"{name} {_write_value(value)}" for arm, value in values.items()}


def _write_value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _plain(value: object) -> object:
    """A frame's cell as the config had it: NaN is None, and a whole number is no float."""
    if isinstance(value, float) and math.isnan(value):
        return None
    item = getattr(value, "item", None)
    value = item() if callable(item) else value
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) >= 1 else value
