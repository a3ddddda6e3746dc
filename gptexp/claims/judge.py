"""Judges claims by runs, according to these rules:

- A claim about the lesson's model is judged only by runs of that model, with its network and its training: 12 layers,
  12 heads, width 768, 256 tokens of context, GPT-2's tokens and init, pre-LN, TinyShakespeare, no dropout, AdamW with
  the settings of nanoGPT or PyTorch, 768 to 16,384 tokens per step (at least 3,072 for a loss at a step), clipping at
  1.0, and the learning rates, warmup and length of training that the claim names. `gptexp.claims.lesson_model` lists
  all of it with sources. Settings that the claim's arm varies may differ. The configs of the runs decide, not the name
  of their scale or arm. Other runs give a value and a direction, and the verdict `not measured`.
- A sentence that can be read in several ways (a constant learning rate with and without clipping) gets a verdict for
  each reading. The claim's verdict is that of the first reading that could be judged.
- Numbers: the mean over the seeds with its 95% interval (Student's t); for two arms the mean of the paired differences.
  A claim is confirmed if the whole interval lies within the stated range including the tolerance, refuted if the whole
  interval lies outside, else underpowered. Fewer than three seeds give a direction but no verdict. From six pairs on,
  the exact sign-flip test must agree; with fewer pairs it can't reach p = 0.05.
- A diverged run counts as higher than any loss, and its direction must agree with that of the other seeds.
- Events ("NaN at step 300", "trains fine"): the claim is about every seed. It is refuted if more than half of the seeds
  contradict it, even one of one: a single run is a counterexample. It is confirmed if three or more seeds all agree
  with it. Everything else is underpowered.
- Computed quantities (counts, arithmetic, PyTorch's own behaviour) need no seeds and no scale.
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
    """A claim with its verdict and the measurement behind it."""

    claim: Claim
    verdict: Verdict
    measured: Measurement | None = None
    """The measurement that gave the verdict; without a verdict the most informative one; None if there is none."""
    computed: float | None = None
    """The value of a computed quantity; else None."""
    every: tuple[Measurement, ...] = ()
    """The measurements of all studies and scales, small scales first."""
    ways: tuple[Judgement, ...] = ()
    """One judgement per reading of a sentence that can be read in several ways; else empty."""


def judge_claims(claims: Sequence[Claim], studies: Sequence[StudyRuns]) -> list[Judgement]:
    """The judgement of every claim."""
    return [judge_claim(claim, studies) for claim in claims]


def judge_claim(claim: Claim, studies: Sequence[StudyRuns]) -> Judgement:
    """Judge a claim by all runs of its study, and of other studies whose arms are the same trainings.

    If several measurements may judge it, those without overrides come first, then those with more seeds, then
    those of longer runs.
    """
    if claim.ways:
        ways = tuple(judge_claim(replace(way, ways=()), studies) for way in claim.read_in_ways)
        judged = [one for one in ways if one.verdict != "not measured"]
        measured = [one for one in ways if one.measured and one.measured.n] or [one for one in ways if one.measured]
        return replace((judged or measured or ways)[0], ways=ways)
    if claim.is_computed:
        # Imported here because it needs PyTorch, which claims about runs don't.
        from gptexp.claims.computed import compute

        value = compute(claim.quantity)
        return Judgement(
            claim, "confirmed" if is_within(claim, value - (claim.stated or 0.0)) else "refuted", computed=value
        )
    every = tuple(sorted(_measure_everywhere(claim, studies), key=_size))
    fitting = [one for one in every if one.n and not one.source.differs]
    if fitting:
        best = max(fitting, key=lambda one: (not one.source.has_overrides, one.n, one.source.last_step))
        return Judgement(claim, best.verdict, best, every=every)
    informative = [one for one in every if one.holds is not None] or [one for one in every if one.n] or list(every)
    nearest = max(informative, key=lambda one: (_size(one)[0], not one.source.has_overrides), default=None)
    return Judgement(claim, "not measured", nearest, every=every)


def _measure_everywhere(claim: Claim, studies: Sequence[StudyRuns]) -> Iterator[Measurement]:
    """The measurements of all studies and scales that apply to the claim.

    Another study counts only at the lesson's network, where its arms are the same trainings. At other scales the
    scale's settings make them differ, so only the claim's own study counts.
    """
    for reading in claim.readings:
        for study in studies:
            found = measure(reading, study) if reading.study and study.name == reading.study else None
            if found is not None and (reading.study == claim.study or not found.source.differences.network):
                yield found


def _size(one: Measurement) -> tuple[int, bool, int, str]:
    places = {name: place for place, name in enumerate(SCALES)}
    return places.get(one.source.scale, -1), one.source.has_overrides, one.n, one.source.study_key
