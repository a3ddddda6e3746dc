"""Reads the lesson's document: its sections, every numeral in it, and which of them the ledger accounts for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gptexp.claims.ledger import Ledger, Place

NUMERAL = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Numeral:
    """A numeral and its place in the document."""

    text: str
    start: int
    end: int
    context: str


def read_numerals(document: str) -> list[Numeral]:
    return [
        Numeral(found[0], *found.span(), " ".join(document[max(0, found.start() - 50) : found.end() + 30].split()))
        for found in NUMERAL.finditer(document)
    ]


def read_sections(document: str) -> dict[str, tuple[int, int]]:
    """Headings from the outside in -> where their text begins and ends, subsections left out; the title has none."""
    found = list(HEADING.finditer(document))
    ends = [*(heading.start() for heading in found[1:]), len(document)]
    path: list[tuple[int, str]] = []
    sections = {}
    for heading, end in zip(found, ends, strict=True):
        level = len(heading[1])
        path = [(depth, title) for depth, title in path if depth < level] + [(level, heading[2])]
        sections[" > ".join(title for depth, title in path if depth > 1)] = (heading.start(), end)
    return sections


def find_place(document: str, place: Place) -> list[tuple[int, int]]:
    """Every span of a quote in its section; empty where it isn't there."""
    start, end = read_sections(document).get(place.section, (0, 0))
    text = document[start:end]
    return [(start + found.start(), start + found.end()) for found in re.finditer(re.escape(place.quote), text)]


def find_unaccounted(document: str, ledger: Ledger) -> list[Numeral]:
    """The numerals that stand neither in a quote of a claim that speaks of them, nor in a match of NOT_CLAIMS."""
    claimed = [
        (*span, claim.numbers)
        for claim in ledger.claims
        for place in claim.places
        for span in find_place(document, place)
    ]
    silent = [
        found.span() for entry in ledger.not_claims for found in re.finditer(entry.pattern, document, re.MULTILINE)
    ]
    return [
        numeral
        for numeral in read_numerals(document)
        if not any(a <= numeral.start and numeral.end <= b and numeral.text in said for a, b, said in claimed)
        and not any(a <= numeral.start and numeral.end <= b for a, b in silent)
    ]
