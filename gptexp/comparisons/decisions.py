"""Where the comparisons of a study stand that adds paired seeds until each is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gptexp.comparisons.differences import ALPHA, find_differences, read_losses
from gptexp.comparisons.sequential import estimate_always
from gptexp.comparisons.stats import FEWEST_PAIRS, subtract_paired
from gptexp.runs.study_runs import StudyRuns

UNDECIDED = "undecided"
BROKEN = "broken off"
"""So many seeds diverged or failed that no more are added: what the others show is about the lucky ones."""
LOST = ("diverged", "failed")
"""Outcomes after which a seed has no final loss."""
LOOKS = (
    "The interval holds at every number of seeds at once: however often one looks, and whenever one stops, the chance "
    "that any comparison of the study is decided wrongly is at most 5%."
)


@dataclass(frozen=True)
class Standing:
    """One arm held against its reference."""

    arm: str
    reference: str
    what: str
    against: str
    n_pairs: int
    """Seeds up to the decision, or all so far."""
    lost: int
    """Seeds that began on both sides and of which a run diverged or failed; those that still run are not lost."""
    mean: float | None
    """Of the paired differences, nats per token; None without a pair."""
    low: float | None
    """None while the pairs bound nothing."""
    high: float | None
    word: str
    """lower, higher, closer (than the difference that is asked for), undecided, or broken off."""

    @property
    def is_decided(self) -> bool:
        return self.word != UNDECIDED


def find_standings(study: StudyRuns, detect: float) -> list[Standing]:
    """Where each comparison of a study with its reference stands, by final val loss.

    A decision stands at the first number of seeds, in their order, at which it falls. All comparisons of a study
    together are wrong in at most 5% (Bonferroni).

    Args:
        detect: a difference under this is none, nats per token.
    """
    losses = {arm.name: read_losses(arm) for arm in study.arms}
    found = [difference for difference in find_differences(study) if difference.kind == "arm"]
    confidence = 1 - ALPHA / max(1, len(found))
    begun = {arm.name: set(arm.runs["seed"]) for arm in study.arms}
    broken = {arm.name: set(arm.runs.loc[arm.runs["outcome"].isin(LOST), "seed"]) for arm in study.arms}
    standings = []
    for difference in found:
        arm, reference = difference.arms
        # In the order of the seeds, which is the order in which they were added.
        pairs = list(subtract_paired(losses[arm], losses[reference]))
        n, mean, low, high, word = decide_first(pairs, detect, confidence)
        lost = len((broken[arm] | broken[reference]) & begun[arm] & begun[reference])
        if word == UNDECIDED and lost >= FEWEST_PAIRS:
            word = BROKEN
        standings.append(Standing(arm, reference, difference.what, difference.against, n, lost, mean, low, high, word))
    return standings


def decide_first(
    pairs: Sequence[float], detect: float, confidence: float
) -> tuple[int, float | None, float | None, float | None, str]:
    """Number of pairs, mean, interval and decision at the first look that decides, else at the last one."""
    if not pairs:
        return 0, None, None, None, UNDECIDED
    for n in range(min(FEWEST_PAIRS, len(pairs)), len(pairs) + 1):
        found = estimate_always(pairs[:n], confidence)
        word = found.decide(detect) if n >= FEWEST_PAIRS else UNDECIDED
        if word != UNDECIDED:
            break
    bounded = found.high < float("inf")
    return n, found.mean, found.low if bounded else None, found.high if bounded else None, word
