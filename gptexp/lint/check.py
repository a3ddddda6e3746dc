"""What the records say to each sentence of an author's text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gptexp.claims.judge import Judgement
from gptexp.claims.ledger import Ledger
from gptexp.claims.words import say_plainly, write_direction, write_truth, write_value
from gptexp.errors import did_you_mean
from gptexp.lint.match import Matcher
from gptexp.lint.numbers import Number, read_numbers, write_like
from gptexp.lint.prose import Sentence
from gptexp.wording import ABSENT

Status = Literal["refuted", "stale", "unknown claim", "underpowered", "not measured", "unknown", "confirmed"]
STATUSES: tuple[Status, ...] = (
    *("refuted", "stale", "unknown claim"),
    *("underpowered", "not measured", "unknown", "confirmed"),
)
FAILURES: tuple[Status, ...] = ("refuted", "stale", "unknown claim")
"""What a bound sentence must not be."""
MEASURED_WORDS = re.compile(
    r"\b(loss(es)?|perplexity|nats?|gradient norms?|norm|bits per byte|val(idation)?|train(ing)? loss|parameters|"
    r"learning rate|diverge[sd]?|explode[sd]?|NaN)\b",
    re.IGNORECASE,
)
"""Words of a sentence whose numbers runs could measure."""


@dataclass(frozen=True)
class Fix:
    """A number to be replaced in the file."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Finding:
    """A sentence, and what the records say to it."""

    sentence: Sentence
    status: Status
    claim: str | None
    """The claim that it states; None for a number that no claim is about."""
    says: str
    """What the records say, or what is missing."""
    fix: Fix | None = None

    @property
    def fails(self) -> bool:
        """Whether the author bound it, and it doesn't hold."""
        return self.sentence.claim is not None and self.status in FAILURES


def check_sentences(
    sentences: Iterable[Sentence],
    ledger: Ledger,
    judge: Callable[[str], Judgement],
    bundle: Sequence[tuple[str, float]] = (),
) -> list[Finding]:
    """What the records say to each sentence that can be checked; the others are left out.

    Args:
        judge: the name of a claim -> its judgement.
        bundle: the numbers of a report, each with the file that it stands in.
    """
    matcher = Matcher(ledger.claims)
    names = [claim.name for claim in ledger.claims]
    silent = [re.compile(entry.pattern, re.MULTILINE) for entry in ledger.not_claims]
    findings = []
    for sentence in sentences:
        if sentence.claim is not None:
            findings.append(_check_bound(sentence, names, judge))
        elif claims := matcher.find(sentence.text):
            findings += [_check(sentence, judge(claim.name)) for claim in claims]
        elif finding := _check_numbers(sentence, silent, bundle):
            findings.append(finding)
    return findings


def _check_bound(sentence: Sentence, names: Sequence[str], judge: Callable[[str], Judgement]) -> Finding:
    name = str(sentence.claim)
    if name not in names:
        return Finding(sentence, "unknown claim", name, f"the ledger has no claim {name!r}{did_you_mean(name, names)}")
    return _check(sentence, judge(name))


def _check(sentence: Sentence, judgement: Judgement) -> Finding:
    """A sentence that states a claim, perhaps with another number than the ledger has."""
    claim, expects = judgement.claim, sentence.expects
    value = write_value(judgement)
    if expects is not None:
        status: Status = "confirmed" if judgement.verdict == expects else "refuted"
        says = say_plainly(write_truth(judgement)) or f"{value}: {say_plainly(write_direction(judgement))}"
        return Finding(sentence, status, claim.name, f"the claim is {judgement.verdict}. {says}")
    measured = [number for number in _measured_values(judgement) if number is not None]
    numbers = read_numbers(sentence.text)
    stated = [read_numbers(text)[0].value for text in claim.numbers if read_numbers(text)]
    others = [number for number in numbers if not any(number.equals(one) for one in stated)]
    # Where the document writes no number for it, neither will a paraphrase.
    writes_it = claim.stated is not None and any(abs(claim.stated - one) < 1e-12 for one in stated)
    own = [number for number in others if writes_it and _could_be(number, claim.stated, measured)]
    if judgement.verdict != "not measured" and own and measured and not _states_stated(numbers, claim.stated):
        if any(number.equals(one) for number in own for one in measured):
            return Finding(sentence, "confirmed", claim.name, f"the records say {value}")
        return Finding(sentence, "stale", claim.name, f"the records say {value}", _make_fix(sentence, own, measured))
    if judgement.verdict == "refuted":
        return Finding(sentence, "refuted", claim.name, say_plainly(write_truth(judgement)))
    words = say_plainly(write_direction(judgement))
    says = words if value == ABSENT else f"{value}: {words}"
    return Finding(sentence, judgement.verdict, claim.name, says)


def _measured_values(judgement: Judgement) -> tuple[float | None, ...]:
    one = judgement.measured
    return (judgement.computed,) if judgement.computed is not None else (one.value, one.other) if one else ()


def _states_stated(numbers: Sequence[Number], stated: float | None) -> bool:
    return stated is not None and any(number.equals(stated) for number in numbers)


def _could_be(number: Number, stated: float | None, measured: Sequence[float]) -> bool:
    """Whether a number may stand for the claim's quantity: of its size, and not a count of steps beside it."""
    near = [one for one in (stated, *measured) if one is not None]
    return any(one and 0.5 <= abs(number.value / one) <= 2 for one in near)


def _make_fix(sentence: Sentence, own: Sequence[Number], measured: Sequence[float]) -> Fix | None:
    """The only number of a bound sentence that can stand for the only value that was measured."""
    if sentence.claim is None or len(own) != 1 or len(measured) != 1:
        return None
    return Fix(own[0].start, own[0].end, write_like(measured[0], own[0]))


def _check_numbers(
    sentence: Sentence, silent: Sequence[re.Pattern[str]], bundle: Sequence[tuple[str, float]]
) -> Finding | None:
    """A sentence with numbers that no claim is about: do they stand in the report?"""
    if not MEASURED_WORDS.search(sentence.text):
        return None
    covered = [found.span() for pattern in silent for found in pattern.finditer(sentence.text)]
    numbers = [
        number
        for number in read_numbers(sentence.text)
        if number.is_telling and not any(a <= number.start and number.end <= b for a, b in covered)
    ]
    if not numbers:
        return None
    places = {number.text: _find_place(number, bundle) for number in numbers}
    missing = [text for text, place in places.items() if place is None]
    if missing:
        where = "no claim of the ledger" + (", and nothing in the report" if bundle else "")
        return Finding(sentence, "unknown", None, f"{', '.join(missing)}: {where}")
    return Finding(
        sentence, "confirmed", None, "; ".join(f"{text} stands in {place}" for text, place in places.items())
    )


def _find_place(number: Number, bundle: Sequence[tuple[str, float]]) -> str | None:
    return next((place for place, value in bundle if number.equals(value)), None)


def apply_fixes(text: str, findings: Iterable[Finding]) -> tuple[str, list[Finding]]:
    """The file's text with the numbers of stale bound sentences replaced by the measured ones, and whose those are.

    A number that stands more than once between the marks of its passage (in an attribute, say) is left alone.
    """
    applied = []
    for finding in sorted(findings, key=lambda finding: -finding.sentence.start):
        if finding.fix is None:
            continue
        sentence = finding.sentence
        passage = text[sentence.start : sentence.end]
        old = sentence.text[finding.fix.start : finding.fix.end]
        # The sentence was read without its markup; the number stands in the file as often as in the sentence.
        if passage.count(old) == 1:
            text = f"{text[: sentence.start]}{passage.replace(old, finding.fix.text)}{text[sentence.end :]}"
            applied.append(finding)
    return text, applied
