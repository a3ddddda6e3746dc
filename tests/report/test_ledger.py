"""The ledger covers the lesson's document, and says of every claim what is needed to judge it."""

from __future__ import annotations

import re

import pytest

from gptexp.analysis.ledger import Claim, Ledger, load_ledger
from gptexp.analysis.quantities import COLUMNS, FIELDS
from gptexp.studies.locate import find_files
from gptexp.studies.study import load_study
from tests.report.lesson_document import find_place, find_unaccounted, read_numerals

SLOTS = {"value", "other", "gap", "stated", "k", "without", "n", "seeds", "last_step"}


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return load_ledger("pretraining")


@pytest.fixture(scope="module")
def document(ledger: Ledger) -> str:
    return (find_files("reports/ledger")["pretraining"].parent / ledger.document).read_text(encoding="utf-8")


def test_every_numeral_of_the_document_is_a_claims_or_has_a_reason(document: str, ledger: Ledger) -> None:
    """All 414 numerals: each in a claim's quote that names it, or in the list of those that claim nothing."""
    assert len(read_numerals(document)) == 414
    assert [f"{numeral.text}: {numeral.context}" for numeral in find_unaccounted(document, ledger)] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Step 500 (loss ~4.0)", "Step 500 (loss ~4.2)"),
        ("1e-5 crawls to 4.3", "1e-5 crawls to 5.3"),
        ("The noise is normal", "The noise, about 0.3 nats, is normal"),
        ("train for a fixed number of steps.", "train for a fixed number of steps, about 12 epochs."),
        ("5 training examples from 6 tokens", "6 training examples from 6 tokens"),
    ],
)
def test_a_new_or_changed_numeral_is_found(document: str, ledger: Ledger, before: str, after: str) -> None:
    """A number planted in the text, or another one in the place of a claimed one, is in neither list."""
    assert before in document
    assert find_unaccounted(document.replace(before, after), ledger) != []


def test_every_quote_is_the_documents_own(document: str, ledger: Ledger) -> None:
    """Each quote stands word for word in the section that the ledger names, and each number in one of the quotes."""
    missing = [
        (claim.name, place.section, place.quote)
        for claim in ledger.claims
        for place in claim.places
        if not find_place(document, place)
    ]
    assert missing == []
    for claim in ledger.claims:
        said = {numeral.text for place in claim.places for numeral in read_numerals(place.quote)}
        assert set(claim.numbers) <= said, claim.name


def test_no_entry_of_the_list_is_idle(document: str, ledger: Ledger) -> None:
    """Every pattern of what is no claim matches a numeral, and has a reason: none waits for a number to hide."""
    for entry in ledger.not_claims:
        assert entry.reason
        found = [match[0] for match in re.finditer(entry.pattern, document, re.MULTILINE)]
        assert found, entry.pattern
        assert any(read_numerals(text) for text in found), entry.pattern


def test_there_are_enough_claims_under_different_names(ledger: Ledger) -> None:
    """More than the 25 that were asked for, each once."""
    names = [claim.name for claim in ledger.claims]
    assert len(names) >= 25
    assert len(set(names)) == len(names)


def test_every_claim_says_why_and_what_would_be_true(ledger: Ledger) -> None:
    """Each has its reason for predicate and tolerance; each that runs can refute, a sentence that would be true."""
    for claim in ledger.claims:
        assert claim.why, claim.name
        assert claim.says, claim.name
        slots = set(re.findall(r"\{(\w+)", claim.instead))
        assert slots <= SLOTS, claim.name
        if claim.study:
            assert slots, claim.name


def test_every_measured_claim_names_arms_that_exist(ledger: Ledger) -> None:
    """Studies, arms and fields are those of the study files and of the quantities that can be read."""
    for claim in ledger.claims:
        if not claim.study:
            continue
        arms = {arm.name for arm in load_study(claim.study).arms}
        for quantity in filter(None, (claim.quantity, claim.other)):
            name, _, field = quantity.partition(":")
            assert name in arms, claim.name
            assert field.partition("@")[0] in COLUMNS.keys() | FIELDS.keys(), claim.name


def test_what_nothing_measures_is_said_to_be_so(ledger: Ledger) -> None:
    """A claim without quantity has no study either, and its reason says why."""

    def is_open(claim: Claim) -> bool:
        return not claim.quantity

    for claim in filter(is_open, ledger.claims):
        assert not claim.study
        assert len(claim.why) > 40
