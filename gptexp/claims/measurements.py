"""Measures one claim on the runs of one study at one scale: values, their difference, and the resulting verdict.

The rules are in the docstring of `gptexp.claims.judge`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from gptexp.claims.ledger import Claim
from gptexp.claims.lesson_model import IN_WORDS, Differences, describe_training, find_differences
from gptexp.comparisons.read import Reading, read_quantity
from gptexp.comparisons.stats import PairedDifference, compare_paired
from gptexp.comparisons.texts import have_same_tokens
from gptexp.runs.study_runs import StudyRuns

Verdict = Literal["refuted", "confirmed", "underpowered", "not measured"]

MIN_SEEDS = 3
"""Fewest seeds for a verdict: two can agree by chance, and three give a meaningful interval."""
MAX_P = 0.05
"""Largest p-value of the sign-flip test that agrees with a claim."""


@dataclass(frozen=True)
class Source:
    """The runs behind a measurement."""

    study_key: str
    scale: str
    has_overrides: bool
    differences: Differences
    """How they differ from the runs that the claim is about."""
    trained: str
    """Batch and precision: `4,096 tokens a step in bf16`; empty for untrained models."""
    run_ids: tuple[str, ...]
    last_step: int
    """The highest step that a run of the measured arm reached; for a difference of two arms the lower of their two."""
    needs_step: int = 0
    """The step that unfinished, still undecided runs must reach; 0 if all runs are decided or have ended."""
    lost: int = 0
    """Number of seeds of a difference that leave none, as a run of theirs diverged."""

    @property
    def differs(self) -> tuple[str, ...]:
        """All differences: `n_layer=4`, `256 tokens a step`; empty if the runs may judge the claim."""
        return self.differences.every


@dataclass(frozen=True)
class Measurement:
    """One claim measured on the runs of one study at one scale."""

    source: Source
    n: int
    """Number of seeds with a value, including diverged ones; 0 if all runs ended too early."""
    holds: bool | None
    """Whether the direction agrees with the claim; None if there is no direction."""
    verdict: Verdict
    """The verdict of these runs alone, whatever their model."""
    value: float | None = None
    """Mean over the seeds; None for an event."""
    other: float | None = None
    """Mean of the arm to compare with."""
    effect: PairedDifference | None = None
    """Value minus the other arm's value, paired by seed, or minus the stated number."""
    diverged: int = 0
    """Number of seeds that diverged in one of the arms, if a loss is measured."""
    happened: int | None = None
    """For an event: the number of seeds in which it happened."""
    silent: int = 0
    """For an event: the number of undecided seeds, whose runs ended too early."""
    incomparable: str = ""
    """Why the numbers can't be compared, as a phrase; empty if they can."""


def measure(claim: Claim, study: StudyRuns) -> Measurement | None:
    """Measure a claim on the runs of its study at one scale; None if one of its arms has no run."""
    reading = read_quantity(study, claim.quantity)
    other = _read_other(claim, study, reading) if claim.other else None
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
        lost=len(reading.lost | (other.lost if other else frozenset())),
    )
    if claim.relation in ("happens", "never"):
        return _measure_event(claim, source, reading)
    compared = arms if len(arms) > 1 else []
    why = "" if have_same_tokens(compared) or not claim.measure.in_nats else "on different texts or tokens"
    why = why or _find_other_stretch(claim, reading, other)
    return _measure_number(claim, source, reading, other, why or _find_other_token(claim, source))


def _read_other(claim: Claim, study: StudyRuns, reading: Reading | None) -> Reading | None:
    """What the quantity is compared with: that of another arm, or a computed number that is the same for every seed."""
    if not claim.other_is_computed:
        return read_quantity(study, claim.other)
    if reading is None:
        return None
    from gptexp.claims.computed import compute

    every = dict.fromkeys(reading.seeds, compute(claim.other))
    return replace(reading, values=every, diverged=frozenset(), run_ids=())


def _measure_event(claim: Claim, source: Source, reading: Reading) -> Measurement:
    n, happened = len(reading.values), int(sum(reading.values.values()))
    if not n:
        return Measurement(source, 0, None, "not measured")
    against = n - happened if claim.relation == "happens" else happened
    # Count undecided seeds too, as they may go either way: seeds that fail early report first, which would bias the
    # verdict.
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
    against = other or Reading(dict.fromkeys(reading.seeds, claim.stated or 0.0), frozenset(), 0, (), 0)
    seeds = reading.seeds & against.seeds
    if not seeds:
        return Measurement(source, 0, None, "not measured")
    pairs = [_vote(claim, seed in reading.diverged, seed in against.diverged) for seed in sorted(seeds)]
    votes = [vote for vote in pairs if vote is not None]
    effect = compare_paired(reading.values, against.values)
    return Measurement(
        source,
        len(seeds),
        None if incomparable else _find_direction(claim, effect, votes),
        "not measured" if incomparable else _judge(claim, reading, against, votes),
        value=_mean(reading.values),
        other=_mean(other.values) if other else None,
        effect=effect,
        diverged=len(seeds & (reading.diverged | against.diverged)),
        incomparable=incomparable,
    )


def _find_other_stretch(claim: Claim, reading: Reading, other: Reading | None) -> str:
    """Why runs that ended at different steps can't be compared (early steps are noisier); empty if they can."""
    ends = {*reading.reached.values(), *(other.reached.values() if other else ())}
    return "up to different steps" if claim.measure.of_a_stretch and len(ends) > 1 else ""


def _find_other_token(claim: Claim, source: Source) -> str:
    """A loss per character says nothing of a number that is meant per GPT-2 token."""
    other = not claim.other and claim.measure.in_nats and IN_WORDS["tokenizer"] in source.differs
    return "per another token" if other else ""


def _vote(claim: Claim, diverged: bool, other_diverged: bool) -> bool | None:
    """Whether a pair supports the claim if exactly one of its runs diverged; None for other pairs."""
    if diverged == other_diverged:
        return None
    return claim.relation == ("above" if diverged else "below")


def is_within(claim: Claim, gap: float) -> bool:
    """Whether the claim holds if a value is `gap` higher than the stated number or the other arm's value."""
    if claim.relation == "about":
        return abs(gap) <= claim.tolerance
    return (gap if claim.relation == "above" else -gap) > claim.tolerance


def _find_direction(claim: Claim, effect: PairedDifference | None, votes: Sequence[bool]) -> bool | None:
    """Whether the seeds favour the claim: the mean counts for all finite pairs, each diverged pair for itself."""
    balance = sum(votes) - (len(votes) - sum(votes))
    if effect is not None:
        weight = effect.interval.n if is_within(claim, effect.interval.mean) else -effect.interval.n
        balance += weight
    return None if balance == 0 else balance > 0


def _judge(claim: Claim, reading: Reading, against: Reading, votes: Sequence[bool]) -> Verdict:
    """The verdict on a number: finite and diverged pairs must agree and together be at least `MIN_SEEDS`."""
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
    """The verdict from the interval of the mean gap; from six pairs on the exact sign-flip test must agree."""
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
