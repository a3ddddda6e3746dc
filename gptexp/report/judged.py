"""A sentence of the lesson beside what the records say to it."""

from __future__ import annotations

from gptexp.claims.judge import Judgement
from gptexp.claims.words import (
    say_plainly,
    write_direction,
    write_quantities,
    write_truth,
    write_value,
    write_verdict,
    write_ways,
)
from gptexp.report.document import JudgedSentence
from gptexp.wording import ABSENT


def judge_sentence(judgement: Judgement) -> JudgedSentence:
    """The claim's sentence as a chapter shows it."""
    measured, one = write_value(judgement), judgement.measured
    place = f"at scale {one.source.scale}" if one and judgement.verdict == "not measured" else "measured"
    quantities = write_quantities(judgement.claim)
    what = f" ({quantities})" if quantities else ""
    direction = say_plainly(write_direction(judgement)).removeprefix(f"{write_verdict(judgement)}: ")
    return JudgedSentence(
        quote=judgement.claim.quote,
        verdict=judgement.verdict,
        label=write_verdict(judgement),
        measured="" if measured == ABSENT else f"{place}: {measured}{what}",
        direction="; ".join(filter(None, [direction, write_ways(judgement)])),
        truth=say_plainly(write_truth(judgement)),
        run_ids=one.source.run_ids if one else (),
    )
