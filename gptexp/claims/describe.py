"""Judgements as plain data: for claims.json and for `gptexp claims --json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gptexp.claims.judge import VERDICTS, Judgement
from gptexp.claims.measurements import Measurement
from gptexp.claims.words import write_command, write_direction, write_truth


def sort_by_verdict(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Refuted ones first, within a verdict in the order of the document."""
    return sorted(judgements, key=lambda judgement: VERDICTS.index(judgement.verdict))


def describe_ledger(judgements: Sequence[Judgement], asserted: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What claims.json holds.

    Args:
        asserted: name of a claim -> the chapters of the page whose text asserts it.
    """
    rows = [
        describe(judgement) | {"asserted_in": list(asserted.get(judgement.claim.name, ()))} for judgement in judgements
    ]
    counts = {verdict: sum(judgement.verdict == verdict for judgement in judgements) for verdict in VERDICTS}
    return {"counts": counts, "claims": rows}


def describe(judgement: Judgement) -> dict[str, Any]:
    """A claim and all that is known of it, as plain data."""
    claim, one = judgement.claim, judgement.measured
    effect = one.effect if one else None
    return {
        "name": claim.name,
        "verdict": judgement.verdict,
        "says": claim.says,
        "sentence": claim.quote,
        "source": claim.section,
        "places": [{"section": place.section, "quote": place.quote} for place in claim.places],
        "study": claim.study or None,
        "quantity": claim.quantity or None,
        "relation": claim.relation if claim.quantity else None,
        "stated": claim.stated,
        "tolerance": claim.tolerance,
        "why": claim.why,
        "needs_scale": "lesson" if claim.study and not claim.of_the_loop else None,
        "needs_max_steps": claim.max_steps,
        "value": one.value if one else judgement.computed,
        "compared_with": claim.other or None,
        "other_value": one.other if one else None,
        "difference": effect.interval.mean if effect else None,
        "low": effect.interval.low if effect else None,
        "high": effect.interval.high if effect else None,
        "p_value": effect.p_value if effect else None,
        "smallest_p": effect.smallest_p if effect else None,
        "smallest_detectable": effect.smallest_detectable if effect else None,
        "seeds": one.n if one else None,
        "happened": one.happened if one else None,
        "diverged": one.diverged if one else None,
        "direction": write_direction(judgement),
        "as_stated": one.holds if one else (judgement.verdict == "confirmed" if claim.is_computed else None),
        "instance": one.source.study_key if one else None,
        "scale": one.source.scale if one else None,
        "differs": list(one.source.differs) if one else [],
        "trained": (one.source.trained or None) if one else None,
        "ways": [_describe_way(way) for way in judgement.ways],
        "true_sentence": write_truth(judgement) or None,
        "command": write_command(claim) or None,
        "run_ids": list(one.source.run_ids) if one else [],
        "transfer": [describe_transfer(judgement, each) for each in judgement.every],
    }


def _describe_way(way: Judgement) -> dict[str, Any]:
    one = way.measured
    return {
        "way": way.claim.way,
        "verdict": way.verdict,
        "study": way.claim.study,
        "quantity": way.claim.quantity,
        "seeds": one.n if one else None,
        "happened": one.happened if one else None,
        "value": one.value if one else None,
        "trained": (one.source.trained or None) if one else None,
        "differs": list(one.source.differs) if one else [],
        "true_sentence": write_truth(way) or None,
        "run_ids": list(one.source.run_ids) if one else [],
    }


def describe_transfer(judgement: Judgement, one: Measurement) -> dict[str, Any]:
    interval = one.effect.interval if one.effect else None
    return {
        "claim": judgement.claim.name,
        "scale": one.source.scale,
        "instance": one.source.study_key,
        "difference": interval.mean if interval else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "seeds": one.n,
        "happened": one.happened,
        "as_stated": one.holds,
        "judges": not one.source.differs,
        "trained": one.source.trained or None,
    }
