"""What one study instance says to one claim: values, their difference, and the verdict that it alone would give.

The rules are published in `gptexp.claims.judge`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from gptexp.claims.ledger import Claim
from gptexp.claims.lesson_model import IN_WORDS, Differences, describe_training, find_differences
from gptexp.measures.read import Reading, read_quantity
from gptexp.measures.stats import PairedDifference, compare_paired
from gptexp.measures.texts import have_same_tokens
from gptexp.runs.study_runs import StudyRuns

Verdict = Literal["refuted", "confirmed", "underpowered", "not measured"]

MIN_SEEDS = 3
"""Two seeds can agree by accident; three give an interval that means something."""
MAX_P = 0.05


@dataclass(frozen=True)
class Source:
    """The runs behind a measurement."""

    study_key: str
    scale: str
    has_overrides: bool
    differences: Differences
    """In what they are not the runs that the claim speaks of."""
    trained: str
    """With what batch and precision: `4,096 tokens a step in bf16`; empty of untrained models."""
    run_ids: tuple[str, ...]
    last_step: int
    """The highest step that one of them reached."""
    needs_step: int = 0
    """The step that those that can't tell yet would have to get to; 0 where all are over or can tell."""

    @property
    def differs(self) -> tuple[str, ...]:
        """`n_layer=4`, `256 tokens a step`; empty where they may judge it."""
        return self.differences.every


@dataclass(frozen=True)
class Measurement:
    """What one study instance says to a claim."""

    source: Source
    n: int
    """Seeds that speak, diverged ones too; 0 where all runs ended too early to tell."""
    holds: bool | None
    """Whether the direction is the claim's; None where it can't be told."""
    verdict: Verdict
    """What these runs alone would give, whatever their model."""
    value: float | None = None
    """Mean over the seeds; None of an event."""
    other: float | None = None
    """Mean of the arm that it is compared with."""
    effect: PairedDifference | None = None
    """Value minus what it is held against: the other arm's, seed by seed, or the stated number."""
    diverged: int = 0
    """Seeds that diverged in one of the arms, where a loss is measured."""
    happened: int | None = None
    """Of an event: in how many seeds it happened."""
    silent: int = 0
    """Of an event: seeds whose runs ended too early to tell."""
    incomparable: str = ""
    """Why the numbers say nothing to the claim, in a few words; empty where they may."""


def measure(claim: Claim, study: StudyRuns) -> Measurement | None:
    """What the runs of an instance say to a claim of its study; None where an arm has no run."""
    reading = read_quantity(study, claim.quantity)
    other = read_quantity(study, claim.other) if claim.other else None
    if reading is None or (claim.other and other is None):
        return None
    arms = [arm for arm in study.arms if arm.name in claim.named_arms]
    settings = claim.arms.get(claim.study, {})
    source = Source(
        study.key,
        study.scale,
        has_overrides=study.variant != "{}",
        differences=Differences()
        if claim.of_the_loop
        else find_differences(
            [(arm.runs, settings.get(arm.name, {})) for arm in arms], claim.max_steps, to_a_step=claim.is_of_a_step
        ),
        trained=describe_training(pd.concat([arm.runs for arm in arms])),
        run_ids=tuple(dict.fromkeys([*reading.run_ids, *(other.run_ids if other else ())])),
        last_step=reading.last_step,
        needs_step=max(reading.needs_step, other.needs_step if other else 0),
    )
    if claim.relation in ("happens", "never"):
        return _measure_event(claim, source, reading)
    compared = arms if len(arms) > 1 else []
    why = "" if have_same_tokens(compared) or not claim.measure.in_nats else "on different texts or tokens"
    why = why or _find_other_stretch(claim, reading, other)
    return _measure_number(claim, source, reading, other, why or _find_other_token(claim, source))


def _measure_event(claim: Claim, source: Source, reading: Reading) -> Measurement:
    n, happened = len(reading.values), int(sum(reading.values.values()))
    if not n:
        return Measurement(source, 0, None, "not measured")
    against = n - happened if claim.relation == "happens" else happened
    # Seeds that can't tell yet could go either way: those that broke early speak first, and alone would mislead.
    total = n + reading.silent
    refuted, held = 2 * against > total, 2 * (n - against) > total
    verdict: Verdict = "underpowered"
    if refuted:
        verdict = "refuted"
    elif n - against == total and n >= MIN_SEEDS:
        verdict = "confirmed"
    holds = held if refuted or held else None
    return Measurement(source, n, holds, verdict, happened=happened, silent=reading.silent)


def _measure_number(
    claim: Claim, source: Source, reading: Reading, other: Reading | None, incomparable: str
) -> Measurement:
    asked = reading.values.keys() | reading.diverged
    against = other or Reading(dict.fromkeys(asked, claim.stated or 0.0), frozenset(), 0, (), 0)
    seeds = asked & (against.values.keys() | against.diverged)
    if not seeds:
        return Measurement(source, 0, None, "not measured")
    pairs = [_vote(claim, seed in reading.diverged, seed in against.diverged) for seed in sorted(seeds)]
    votes = [vote for vote in pairs if vote is not None]
    effect = compare_paired(reading.values, against.values)
    return Measurement(
        source,
        len(seeds),
        None if incomparable else _point(claim, effect, votes),
        "not measured" if incomparable else _judge(claim, reading, against, votes),
        value=_mean(reading.values),
        other=_mean(other.values) if other else None,
        effect=effect,
        diverged=len(seeds & (reading.diverged | against.diverged)),
        incomparable=incomparable,
    )


def _find_other_stretch(claim: Claim, reading: Reading, other: Reading | None) -> str:
    """Early steps are noisier than later ones: runs that were stopped elsewhere can't be held against each other."""
    ends = {*reading.reached.values(), *(other.reached.values() if other else ())}
    return "up to different steps" if claim.measure.of_a_stretch and len(ends) > 1 else ""


def _find_other_token(claim: Claim, source: Source) -> str:
    """A loss per character says nothing of a number that is meant per GPT-2 token."""
    other = not claim.other and claim.measure.in_nats and IN_WORDS["tokenizer"] in source.differs
    return "per another token" if other else ""


def _vote(claim: Claim, diverged: bool, other_diverged: bool) -> bool | None:
    """Whether a pair of which one run diverged speaks for the claim; None of other pairs."""
    if diverged == other_diverged:
        return None
    return claim.relation == ("above" if diverged else "below")


def is_within(claim: Claim, gap: float) -> bool:
    """Whether a value that lies `gap` above what it is held against is as the claim says."""
    if claim.relation == "about":
        return abs(gap) <= claim.tolerance
    return (gap if claim.relation == "above" else -gap) > claim.tolerance


def _point(claim: Claim, effect: PairedDifference | None, votes: Sequence[bool]) -> bool | None:
    """Where the mean, or else most of the diverged pairs, point to."""
    for_it = sum(votes) - (len(votes) - sum(votes))
    if effect is not None:
        weight = effect.interval.n if is_within(claim, effect.interval.mean) else -effect.interval.n
        for_it += weight
    return None if for_it == 0 else for_it > 0


def _judge(claim: Claim, reading: Reading, against: Reading, votes: Sequence[bool]) -> Verdict:
    """The finite pairs and the diverged ones have to agree, and be three or more together."""
    opinions: set[Verdict] = {"confirmed" if vote else "refuted" for vote in votes}
    shared = reading.values.keys() & against.values.keys()
    gaps = {seed: reading.values[seed] - against.values[seed] for seed in shared}
    if len(shared) + len(votes) < MIN_SEEDS and not claim.of_the_loop:
        return "underpowered"
    if len(shared) >= MIN_SEEDS:
        opinions.add(_judge_gaps(claim, gaps))
    else:
        opinions |= {"confirmed" if is_within(claim, gap) else "refuted" for gap in gaps.values()}
    return opinions.pop() if len(opinions) == 1 else "underpowered"


def _judge_gaps(claim: Claim, gaps: Mapping[int, float]) -> Verdict:
    """By the interval of the mean gap; from six pairs on the exact test has to agree."""
    if claim.relation == "about":
        found = compare_paired(gaps, dict.fromkeys(gaps, 0.0))
        assert found is not None
        low, high = _ends(found)
        if low > claim.tolerance or high < -claim.tolerance:
            return "refuted"
        return "confirmed" if -claim.tolerance <= low and high <= claim.tolerance else "underpowered"
    sign = 1 if claim.relation == "above" else -1
    beyond = compare_paired({seed: sign * gap for seed, gap in gaps.items()}, dict.fromkeys(gaps, claim.tolerance))
    assert beyond is not None
    low, high = _ends(beyond)
    can_test = beyond.smallest_p is not None and beyond.smallest_p <= MAX_P
    if can_test and beyond.p_value is not None and beyond.p_value > MAX_P:
        return "underpowered"
    return "confirmed" if low > 0 else "refuted" if high <= 0 else "underpowered"


def _ends(found: PairedDifference) -> tuple[float, float]:
    low, high = found.interval.low, found.interval.high
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def _mean(values: Mapping[int, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None
