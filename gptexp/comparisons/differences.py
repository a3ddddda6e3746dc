"""Paired differences between the arms of a study: arms against their reference, and effects of crossed factors."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from gptexp.comparisons.factors import (
    MOST_LEVELS,
    STEADY,
    Factor,
    combine,
    find_crossed,
    find_factors,
    name_decay,
    read_config,
)
from gptexp.comparisons.stats import FEWEST_PAIRS, PairedDifference, adjust_by_holm, compare_paired
from gptexp.comparisons.texts import group_by_tokens, have_same_tokens, read_tokens_of
from gptexp.runs.study_runs import ArmRuns, StudyRuns

ALPHA = 0.05
"""A p-value at or under it, and an interval of 95% that leaves out 0, tell two arms apart."""
TOLD_APART = ("lower", "higher")
EFFECTS_DIFFER = "the effects differ"
TOO_FEW_PAIRS = "too few pairs"
NOT_TOLD_APART = "not told apart"
NO_PAIR = "no pair"
LADDER_RATES = 4
"""Peak rates from which on a study is a ladder: its arms are compared at the same rate."""


@dataclass(frozen=True)
class Difference:
    """How much lower or higher one side ends than the other."""

    kind: str
    """arm, main effect or interaction."""
    what: str
    against: str
    paired: PairedDifference | None
    """None where no seed completed on both sides."""
    lost: int
    """Seeds that began on both sides and don't count, since a run of theirs did not complete."""
    arms: tuple[str, ...]
    """The arms whose runs are behind it."""
    verdict: str = ""
    """As `judge_all` has it, among all differences of the study."""
    holm_p: float | None = None
    """The p-value of the paired t-test by Holm over the same; None under `FEWEST_PAIRS`."""

    @property
    def word(self) -> str:
        """The verdict; two effects are the same or not, neither is the lower one, and nothing points that way."""
        if self.kind != "interaction" or self.verdict in (NOT_TOLD_APART, NO_PAIR):
            return self.verdict
        return EFFECTS_DIFFER if self.verdict in TOLD_APART else TOO_FEW_PAIRS


def find_differences(study: StudyRuns) -> list[Difference]:
    """Every arm against its reference by final val loss (nats per token), then main effects and interactions.

    The reference is that of `choose_reference`, among arms of the same length where there are several; in a ladder of
    learning rates it is the arm of the first series at the same rate. Effects are those of a study that crosses two
    factors of at most four levels. Arms that learn from other texts or tokens are not compared: their losses are of
    different things.
    """
    if study.is_untrained or len(study.arms) < 2:
        return []
    losses = {arm.name: read_losses(arm) for arm in study.arms}
    seeds = {arm.name: {int(seed) for seed in arm.runs["seed"]} for arm in study.arms}
    found = []
    for arm, reference in _pair_arms(study):
        paired = compare_paired(losses[arm.name], losses[reference.name])
        lost = _count_begun(seeds, (arm.name, reference.name)) - (paired.interval.n if paired else 0)
        found.append(Difference("arm", arm.label, reference.label, paired, lost, (arm.name, reference.name)))
    crossed = find_crossed(study)
    if crossed and all(len(factor.ordered) <= MOST_LEVELS for factor in crossed):
        one, other = crossed
        found += _state_main_effects(one, other, losses, seeds) + _state_main_effects(other, one, losses, seeds)
        found += _state_interactions(one, other, losses, seeds)
    by_name = {arm.name: arm for arm in study.arms}
    found = [difference for difference in found if _is_of_same_tokens(difference, by_name)]
    judged = judge_all([difference.paired for difference in found])
    return [replace(one, verdict=word, holm_p=p) for one, (word, p) in zip(found, judged, strict=True)]


def _is_of_same_tokens(difference: Difference, arms: Mapping[str, ArmRuns]) -> bool:
    """Whether both sides of it are losses of the same texts in the same tokens."""
    behind = [arms[name] for name in difference.arms]
    if difference.kind != "main effect":
        return have_same_tokens(behind)
    # The mean of its first half is held against that of the second: each text has to be as often in both.
    half = len(behind) // 2
    return Counter(map(read_tokens_of, behind[:half])) == Counter(map(read_tokens_of, behind[half:]))


def tabulate_differences(differences: Sequence[Difference]) -> pd.DataFrame:
    """kind, what, against, difference, low, high (95%), n_pairs, lost, p_value, smallest_p, smallest_detectable,
    holm_p, word.

    Differences in nats per token; NaN where there is none.
    """
    rows = []
    for found in differences:
        paired = found.paired
        interval = paired.interval if paired else None
        numbers = {
            "difference": interval.mean if interval else None,
            "low": interval.low if interval else None,
            "high": interval.high if interval else None,
            "n_pairs": interval.n if interval else 0,
            "lost": found.lost,
            "p_value": paired.p_value if paired else None,
            "smallest_p": paired.smallest_p if paired else None,
            "smallest_detectable": paired.smallest_detectable if paired else None,
            "holm_p": found.holm_p,
        }
        places = {"kind": found.kind, "what": found.what, "against": found.against}
        rows.append(places | {name: _number(value) for name, value in numbers.items()} | {"word": found.word})
    return pd.DataFrame(rows).astype({"n_pairs": int, "lost": int}) if rows else pd.DataFrame()


def judge(paired: PairedDifference | None) -> str:
    """`lower`, `higher` or `not told apart`; with one pair what it points to; with none, `no pair`.

    Told apart are two sides whose interval leaves out 0, and whose exact test agrees where that many pairs let it: up
    to 5 pairs its smallest p-value is above 0.05, so that it can't. Two pairs only point somewhere: their interval
    can be narrow by luck.
    """
    if paired is None:
        return NO_PAIR
    interval = paired.interval
    side = "lower" if interval.mean < 0 else "higher"
    points = f"points {side}" if interval.mean else NOT_TOLD_APART
    if interval.low is None or interval.high is None or paired.p_value is None or paired.smallest_p is None:
        return points
    if interval.n < FEWEST_PAIRS:
        return points
    outside = interval.low > 0 or interval.high < 0
    agreed = paired.p_value <= ALPHA or paired.smallest_p > ALPHA
    return side if outside and agreed else NOT_TOLD_APART


def judge_all(pairs: Sequence[PairedDifference | None]) -> list[tuple[str, float | None]]:
    """`judge` of each comparison and its p-value by Holm, of several that are made together: among those with at least
    `FEWEST_PAIRS`, only ones whose adjusted p-value (of the paired t-test, which the interval is that of) is at most
    0.05 are told apart.

    The exact test isn't adjusted: with few pairs its p-value can't become small enough for that.
    """
    counted = {
        place: paired.t_p_value
        for place, paired in enumerate(pairs)
        if paired is not None and paired.t_p_value is not None and paired.interval.n >= FEWEST_PAIRS
    }
    adjusted = dict(zip(counted, adjust_by_holm(list(counted.values())), strict=True))
    found = []
    for place, paired in enumerate(pairs):
        word, p_value = judge(paired), adjusted.get(place)
        is_chance = word in TOLD_APART and p_value is not None and p_value > ALPHA
        found.append((NOT_TOLD_APART if is_chance else word, p_value))
    return found


def read_losses(arm: ArmRuns) -> dict[int, float]:
    """Seed -> final val loss of the arm's completed runs."""
    pairs = zip(arm.runs["seed"], arm.runs["outcome"], arm.runs["final_val_loss"].astype(float), strict=True)
    return {int(seed): loss for seed, outcome, loss in pairs if outcome == "completed" and math.isfinite(loss)}


def choose_reference(arms: Sequence[ArmRuns]) -> ArmRuns:
    """The arm that the others are held against: the only one whose rate decays where there is one, else the first.

    So an ablation of a schedule is held against its schedule, and any other study against what it names first.
    """
    decaying = [arm for arm in arms if name_decay(read_config(arm).schedule) != STEADY]
    return decaying[0] if len(decaying) == 1 else min(arms, key=lambda arm: arm.index)


def find_ladder(study: StudyRuns) -> tuple[Factor, Factor | None] | None:
    """The rate as a factor of at least four levels, and what else sets the arms apart, several things as one factor;
    None where it is no ladder.
    """
    factors = find_factors(study) if not study.is_untrained else []
    rates = next((factor for factor in factors if factor.name == "lr"), None)
    others = [factor for factor in factors if factor is not rates]
    if rates is None or len(rates.ordered) < LADDER_RATES:
        return None
    if len(others) < 2:
        return rates, others[0] if others else None
    series = functools.reduce(combine, others)
    cells = {(rates.levels[arm.name], series.levels[arm.name]) for arm in study.arms}
    has_one_each = len(cells) == len(study.arms)
    return (rates, series) if has_one_each and len(series.ordered) <= MOST_LEVELS else None


def _pair_arms(study: StudyRuns) -> list[tuple[ArmRuns, ArmRuns]]:
    """(arm, the arm it is held against)."""
    rates, series = find_ladder(study) or (None, None)
    if rates is None or series is None:
        return [pair for same in group_by_tokens(study.arms) for pair in _pair_by_length(same)]
    first = {rates.values[arm.name]: arm for arm in study.arms if series.levels[arm.name] == series.ordered[0]}
    others = [arm for arm in study.arms if series.levels[arm.name] != series.ordered[0]]
    paired = [(arm, first[rates.values[arm.name]]) for arm in others if rates.values[arm.name] in first]
    return [pair for pair in paired if have_same_tokens(pair)]


def _pair_by_length(arms: Sequence[ArmRuns]) -> list[tuple[ArmRuns, ArmRuns]]:
    """Each arm with the reference among those of its own length; one that has its length alone with that of all arms.

    A longer training ends lower whatever else is changed, so that would say nothing of the other change.
    """
    groups: dict[int, list[ArmRuns]] = {}
    for arm in arms:
        groups.setdefault(read_config(arm).max_steps, []).append(arm)
    pairs = []
    for group in groups.values():
        reference = choose_reference(group if len(group) > 1 else arms)
        pairs += [(arm, reference) for arm in group if arm is not reference]
    return pairs


Losses = Mapping[str, Mapping[int, float]]
"""Arm -> seed -> final val loss."""
Seeds = Mapping[str, set[int]]
"""Arm -> the seeds that have begun."""


def _count_begun(seeds: Seeds, arms: Sequence[str]) -> int:
    """The number of seeds that have begun in all of these arms."""
    return len(set.intersection(*(seeds[arm] for arm in arms)))


def _average(losses: Losses, arms: Sequence[str]) -> dict[int, float]:
    """Seed -> mean over these arms, of the seeds that completed in all of them."""
    seeds = set.intersection(*(set(losses[arm]) for arm in arms))
    return {seed: sum(losses[arm][seed] for arm in arms) / len(arms) for seed in sorted(seeds)}


def _state_main_effects(one: Factor, other: Factor, losses: Losses, seeds: Seeds) -> list[Difference]:
    """Each level of `one` against its first, averaged over the levels of `other`."""
    base = [arm for arm in one.levels if one.levels[arm] == one.ordered[0]]
    found = []
    for level in one.ordered[1:]:
        arms = [arm for arm in one.levels if one.levels[arm] == level]
        paired = compare_paired(_average(losses, arms), _average(losses, base))
        lost = _count_begun(seeds, (*arms, *base)) - (paired.interval.n if paired else 0)
        over = f"{one.ordered[0]}, averaged over {', '.join(other.ordered[:-1])} and {other.ordered[-1]}"
        found.append(Difference("main effect", level, over, paired, lost, (*arms, *base)))
    return found


def _state_interactions(one: Factor, other: Factor, losses: Losses, seeds: Seeds) -> list[Difference]:
    """How much more a level of `one` changes at a level of `other` than at its first: a difference of differences."""
    cells = {(one.levels[arm], other.levels[arm]): arm for arm in one.levels}
    found = []
    for level in one.ordered[1:]:
        for place in other.ordered[1:]:
            arms = (
                cells[level, place],
                cells[one.ordered[0], place],
                cells[level, other.ordered[0]],
                cells[one.ordered[0], other.ordered[0]],
            )
            shared = set.intersection(*(set(losses[arm]) for arm in arms))
            here = {seed: losses[arms[0]][seed] - losses[arms[1]][seed] for seed in shared}
            there = {seed: losses[arms[2]][seed] - losses[arms[3]][seed] for seed in shared}
            paired = compare_paired(here, there)
            lost = _count_begun(seeds, arms) - len(shared)
            what, against = f"what {level} does with {place}", f"what it does with {other.ordered[0]}"
            found.append(Difference("interaction", what, against, paired, lost, arms))
    return found


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
