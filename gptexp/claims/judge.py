"""Judges claims by runs. The rules, published here:

- A claim about the lesson's model is judged by runs of that model only, network and training: 12 layers of 12 heads,
  768 wide, 256 tokens of context, GPT-2's tokens and init, pre-LN, TinyShakespeare, no dropout, AdamW as nanoGPT or
  PyTorch sets it, 768 to 16,384 tokens a step (3,072 at least for a loss at a step), clipping at 1.0, and the rates,
  the warmup and the length of training that the claim speaks of (`gptexp.claims.lesson_model` has all of it, with
  sources). What an arm is about may differ in it. The runs' own configs decide, not the name of their scale or arm.
  Other runs give a value and a direction, and the verdict `not measured`.
- A sentence that can be meant in several ways (a constant rate with and without clipping) has a verdict for each; that
  of the claim is the first way's that could be judged.
- Numbers: the mean over the seeds with its 95% interval (Student's t), of paired differences where two arms are
  compared. A claim is confirmed where the whole interval lies in what it says, tolerance included, refuted where all
  of it lies outside, else underpowered. Fewer than three seeds give a direction and no verdict. From six pairs on the
  exact sign-flip test has to agree; below six it can't reach 0.05.
- A diverged run counts as higher than any loss, and has to agree with the others.
- Events ("NaN at step 300", "trains fine"): the sentence speaks of every seed. It is refuted where more than half of
  the seeds that got far enough go against it, one of one too: a single run is a counterexample. It is confirmed where
  three or more seeds all agree. Anything between is underpowered.
- What is computed (counts, arithmetic, PyTorch's own behaviour) needs no seeds and no scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gptexp.claims.ledger import Claim
from gptexp.claims.measurements import Measurement, Verdict, is_within, measure
from gptexp.runs.study_runs import StudyRuns
from gptexp.studies.scales import SCALES

VERDICTS: tuple[Verdict, ...] = ("refuted", "confirmed", "underpowered", "not measured")


@dataclass(frozen=True)
class Judgement:
    """A claim with its verdict and what it stands on."""

    claim: Claim
    verdict: Verdict
    measured: Measurement | None = None
    """What the verdict stands on, else what comes nearest to it; None where there is nothing."""
    computed: float | None = None
    every: tuple[Measurement, ...] = ()
    """What each instance of the study says, small scales first."""
    ways: tuple[Judgement, ...] = ()
    """Of a sentence that can be meant in several ways, each of them judged; else empty."""


def judge_claims(claims: Sequence[Claim], studies: Sequence[StudyRuns]) -> list[Judgement]:
    """Every claim with its verdict over the instances of its study."""
    return [judge_claim(claim, studies) for claim in claims]


def judge_claim(claim: Claim, studies: Sequence[StudyRuns]) -> Judgement:
    """The verdict over all instances of the claim's study, and of others that hold the same trainings.

    Of several that may judge it, one without overrides counts before one with, then the one with more seeds.
    """
    if claim.ways:
        ways = tuple(judge_claim(replace(way, ways=()), studies) for way in claim.read_in_ways)
        judged = [one for one in ways if one.verdict != "not measured"]
        measured = [one for one in ways if one.measured and one.measured.n] or [one for one in ways if one.measured]
        return replace((judged or measured or ways)[0], ways=ways)
    if claim.is_computed:
        # Imported here: it needs PyTorch, and a claim about runs doesn't.
        from gptexp.claims.computed import compute

        value = compute(claim.quantity)
        return Judgement(
            claim, "confirmed" if is_within(claim, value - (claim.stated or 0.0)) else "refuted", computed=value
        )
    every = tuple(sorted(_measure_everywhere(claim, studies), key=_size))
    fitting = [one for one in every if one.n and not one.source.differs]
    if fitting:
        best = max(fitting, key=lambda one: (not one.source.has_overrides, one.n))
        return Judgement(claim, best.verdict, best, every=every)
    telling = [one for one in every if one.holds is not None] or [one for one in every if one.n] or list(every)
    nearest = max(telling, key=lambda one: (_size(one)[0], not one.source.has_overrides), default=None)
    return Judgement(claim, "not measured", nearest, every=every)


def _measure_everywhere(claim: Claim, studies: Sequence[StudyRuns]) -> Iterator[Measurement]:
    """What every instance says. Another study has the same trainings at the lesson's own network only: elsewhere the
    scale's settings enter, and the claim's own study speaks.
    """
    for reading in claim.readings:
        for study in studies:
            found = measure(reading, study) if reading.study and study.name == reading.study else None
            if found is not None and (reading.study == claim.study or not found.source.differences.network):
                yield found


def _size(one: Measurement) -> tuple[int, bool, int, str]:
    places = {name: place for place, name in enumerate(SCALES)}
    return places.get(one.source.scale, -1), one.source.has_overrides, one.n, one.source.study_key
