"""Writes judgements as words, for the page, the command line and claims.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gptexp.claims.judge import VERDICTS, Judgement
from gptexp.claims.ledger import Claim
from gptexp.claims.measurements import MIN_SEEDS, Measurement
from gptexp.measures.catalog import split_quantity
from gptexp.wording import ABSENT, count_things, join_words, write_count, write_loss, write_number

SLOTS = ("value", "other", "gap", "k", "without", "n", "last_step")
ELSEWHERE = "not at the lesson's scale"


def count_verdicts(judgements: Sequence[Judgement]) -> str:
    """A summary of all verdicts.

    For example `55 claims. Computed: 2 refuted, 21 confirmed. By runs: 2 refuted, 3 confirmed, 14 underpowered, 9
    not measured. Not measurable: 4`.
    """
    groups = {
        "Computed": [one.verdict for one in judgements if one.claim.is_computed],
        "By runs": [one.verdict for one in judgements if one.claim.study],
    }
    counts = [
        f"{words}: {', '.join(f'{verdicts.count(name)} {name}' for name in VERDICTS if name in verdicts)}"
        for words, verdicts in groups.items()
        if verdicts
    ]
    if neither := sum(not one.claim.is_measurable for one in judgements):
        counts.append(f"Not measurable: {neither}")
    return ". ".join([count_things(len(judgements), "claim"), *counts])


def describe_sentence(judgement: Judgement) -> dict[str, Any]:
    """A sentence of the lesson beside what the records say to it, as a page shows it; empty texts where they say none.

    `says` is what was tested, `label` the verdict as it is shown, `measured` what was measured and where, `truth` what
    would be true instead.
    """
    measured, one = write_value(judgement), judgement.measured
    place = f"at scale {one.source.scale}" if one and judgement.verdict == "not measured" else "measured"
    quantities = write_quantities(judgement.claim)
    what = f" ({quantities})" if quantities else ""
    direction = say_plainly(write_direction(judgement)).removeprefix(f"{write_verdict(judgement)}: ")
    return {
        "quote": judgement.claim.quote,
        "says": say_plainly(judgement.claim.says),
        "verdict": judgement.verdict,
        "label": write_verdict(judgement),
        "measured": "" if measured == ABSENT else f"{place}: {measured}{what}",
        "direction": "; ".join(filter(None, [direction, write_ways(judgement)])),
        "truth": say_plainly(write_truth(judgement)),
        "run_ids": one.source.run_ids if one else (),
    }


def write_verdict(judgement: Judgement) -> str:
    """The verdict, or `ELSEWHERE` if a claim was measured only at scales that may not judge it."""
    elsewhere = judgement.verdict == "not measured" and judgement.measured is not None and judgement.measured.n
    return ELSEWHERE if elsewhere else judgement.verdict


def write_quantities(claim: Claim) -> str:
    """The measured quantities: `final_val_loss of clip against that of no-clip`; empty if computed or not measured."""
    if not claim.study:
        return ""
    words: list[str] = []
    named: set[str] = set()
    for quantity in filter(None, (claim.quantity, claim.other)):
        if quantity == claim.other and claim.other_is_computed:
            words.append(f"the computed {claim.other}")
            continue
        terms = []
        for arm, field in split_quantity(quantity):
            terms.append(f"{'that' if field in named else field} of {arm}")
            named.add(field)
        words.append(" minus ".join(terms))
    return " against ".join(words)


def write_value(judgement: Judgement) -> str:
    """The measured value: `5.888`, `5.888 against 6.153`, `0 of 3 seeds`, or a dash."""
    if judgement.computed is not None:
        return f"{judgement.computed:,.6g}"
    one = judgement.measured
    return ABSENT if one is None or not one.n else write_measurement(judgement.claim, one)


def write_expected(claim: Claim) -> str:
    """The values for which the claim holds: `10.8 ± 0.2`, `> 12.3`, `< the other`, `in every seed`."""
    if not claim.quantity:
        return ABSENT
    if claim.relation in ("happens", "never"):
        return "in every seed" if claim.relation == "happens" else "in no seed"
    stated = claim.stated or 0.0
    if claim.relation == "about":
        middle = "the other" if claim.other else f"{stated:,g}"
        return f"{middle} ± {claim.tolerance:g}" if claim.tolerance else middle
    sign, shift = (">", claim.tolerance) if claim.relation == "above" else ("<", -claim.tolerance)
    if claim.other:
        return f"{sign} the other" + (f" by {claim.tolerance:g}" if shift else "")
    return f"{sign} {stated + shift:,g}"


def write_measurement(claim: Claim, one: Measurement) -> str:
    """The value of one measurement, and the value that it is compared with."""
    if one.happened is not None:
        silent = f" ({one.silent} ended too early to tell)" if one.silent else ""
        return f"{one.happened} of {count_things(one.n + one.silent, 'seed')}{silent}"
    values = [write_quantity(claim, value) for value in (one.value, one.other) if value is not None]
    lost = f", {one.diverged} of {one.n} pairs diverged" if one.diverged else ""
    return (" against ".join(values) or ABSENT) + lost


def write_effect(claim: Claim, one: Measurement) -> str:
    """Sign, size, interval and seeds: `−0.265 [−0.310, −0.220], n = 3`."""
    if one.happened is not None:
        return f"{one.happened} of {one.n + one.silent}"
    if one.incomparable:
        return one.incomparable
    if one.effect is None:
        return f"{one.diverged} of {one.n} diverged"
    interval = one.effect.interval
    ends = "" if interval.low is None else f" [{_sign(claim, interval.low)}, {_sign(claim, interval.high or 0.0)}]"
    return f"{_sign(claim, interval.mean)}{ends}, n = {interval.n}"


def write_quantity(claim: Claim, value: float) -> str:
    """A number as its quantity is written: losses with three decimals, others with four digits."""
    return write_loss(value) if claim.measure.in_nats else write_number(value, 4)


def _sign(claim: Claim, value: float) -> str:
    text = write_quantity(claim, abs(value))
    return f"{'−' if value < 0 else '+'}{text}" if any(digit in text for digit in "123456789") else text


def write_direction(judgement: Judgement) -> str:
    """Whether the measurement agrees with the lesson, and what limits it (scale, number of seeds, length of runs)."""
    claim, one = judgement.claim, judgement.measured
    if judgement.computed is not None:
        return "as stated" if judgement.verdict == "confirmed" else "not as stated"
    if not claim.study:
        return claim.why
    if one is None:
        return f"no runs measure it; to make some: {write_command(claim)}"
    if not one.n:
        return _write_too_early(one)
    words = {True: "points the lesson's way", False: "points the other way", None: "has no direction"}[one.holds]
    if claim.relation == "about" and one.holds is not None:
        words = f"{'' if one.holds else 'not '}near {'the other' if claim.other else 'the stated value'}"
    if judgement.verdict == "not measured":
        fitting = [each for each in judgement.every if not each.n and not each.source.differs]
        later = "".join(f"; {_write_too_early(each)}" for each in fitting if each.source.needs_step)
        return f"{_write_difference(one)}: {words}{later}"
    if judgement.verdict == "underpowered":
        return f"{words}, and {_write_power(claim, one)}"
    return "as stated" if judgement.verdict == "confirmed" else "not as stated"


def _write_too_early(one: Measurement) -> str:
    """Why runs can't judge the claim: where they ended or broke, or which step unfinished ones must reach."""
    source = one.source
    if source.needs_step:
        return (
            f"it needs step {write_count(source.needs_step)} in every arm, and the runs of {source.study_key} reached "
            f"at most {write_count(source.last_step)}"
        )
    if source.lost:
        seeds = count_things(source.lost, "seed")
        return f"a run of {source.study_key} diverged in {seeds}, which leaves no difference"
    return f"the runs of {source.study_key} end at step {write_count(source.last_step)}, too early to tell"


def _write_difference(one: Measurement) -> str:
    """`ELSEWHERE`, with the differences of the configs in parentheses if there are at most two."""
    differs = one.source.differs
    return f"{ELSEWHERE} ({join_words(differs)})" if len(differs) <= 2 else ELSEWHERE


def write_ways(judgement: Judgement) -> str:
    """The findings for each reading of a sentence that can be read in several ways.

    For example `without clipping: refuted (0 of 1 seed); clipped at 1.0: not measured`. Empty for other claims, and if
    no reading was measured.
    """
    if not any(way.measured for way in judgement.ways):
        return ""
    parts = []
    for way in judgement.ways:
        value = write_value(way)
        found = f" ({value}{_name_batch(way)})" if value != ABSENT else ""
        parts.append(f"{way.claim.way}: {write_verdict(way)}{found}")
    return "; ".join(parts)


def _name_batch(judgement: Judgement) -> str:
    """`, 4,096 tokens a step in bf16`; empty for another network, whose batch size says little."""
    one = judgement.measured
    known = one is not None and one.source.trained and not one.source.differences.network
    return f", {one.source.trained}" if known and one else ""


def write_runs(judgement: Judgement) -> str:
    """A sentence with batch and precision of the runs behind a verdict; empty if there are none.

    The document gives no batch size, so the verdict has to say which one its runs used.
    """
    batch = "" if judgement.ways or judgement.claim.of_the_loop else _name_batch(judgement)
    return f"Trained with {batch[2:]}." if batch else ""


def _write_power(claim: Claim, one: Measurement) -> str:
    """Why there is no verdict, and the smallest difference that this number of seeds could have detected."""
    if one.n < MIN_SEEDS:
        return f"{count_things(one.n, 'seed')} can't decide it: {MIN_SEEDS} are needed"
    detectable = one.effect.smallest_detectable if one.effect else None
    if detectable is None or not math.isfinite(detectable):
        return f"{count_things(one.n, 'seed')} don't agree"
    return f"{one.n} seeds with this scatter only detect differences of {write_quantity(claim, detectable)} or more"


def write_truth(judgement: Judgement) -> str:
    """The true sentence in place of a refuted claim; empty if the claim is not refuted."""
    if judgement.verdict != "refuted":
        return ""
    claim, one = judgement.claim, judgement.measured
    slots: dict[str, float | str] = dict.fromkeys(SLOTS, 0.0) | {"seeds": ""}
    slots["stated"] = claim.stated or 0.0
    if judgement.computed is not None:
        slots["value"] = judgement.computed
    elif one is not None:
        value, other = (math.inf if number is None else number for number in (one.value, one.other))
        happened = one.happened or 0
        slots |= {"value": value, "other": other, "gap": abs(value - other), "seeds": count_things(one.n, "seed")}
        slots |= {"k": happened, "without": one.n - happened, "n": one.n, "last_step": one.source.last_step}
    template = claim.instead or "Measured: {value:.6g}, not {stated:.6g}."
    return template.format(**slots).replace("inf", "∞")


def say_plainly(text: str) -> str:
    """`text` without the backticks around code, for output without markup."""
    return text.replace("`", "")


def write_command(claim: Claim) -> str:
    """The command that measures the claim at the lesson's scale."""
    return f"gptexp run {claim.study} --scale lesson --seeds {MIN_SEEDS}" if claim.study else ""
