"""Which claims of the ledger a sentence states, if it isn't bound to one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, lru_cache

from gptexp.claims.ledger import Claim
from gptexp.lint.numbers import Number, read_numbers

WORD = re.compile(r"[a-z]+")
SAME_WORDS = 0.5
"""From this likeness on a sentence states a claim: Dice's coefficient of their words and numbers, each weighted by its
rarity in the ledger. Chosen on paraphrases of the ledger's claims: see tests/lint/test_match.py."""
SHORTEST_QUOTE = 3
"""A quote of fewer words says too little to be recognised by itself."""
STOP_WORDS = frozenset(
    (
        *(
            "a",
            "an",
            "the",
            "of",
            "in",
            "on",
            "at",
            "to",
            "is",
            "are",
            "it",
            "its",
            "and",
            "or",
            "that",
            "this",
            "with",
        ),
        *("by", "for", "from", "as", "be", "not", "no", "than", "then", "you", "your", "we", "our"),
    )
)


SYNONYMS = {
    **dict.fromkeys(("blow", "diverg", "nan"), "explod"),
    **dict.fromkeys(("first", "untrain"), "initial"),
    "rate": "lr",
    "beat": "better",
}
"""Stems that mean the same in this field."""


class Matcher:
    """Recognises the claims of a ledger in sentences."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self._claims = claims

    @cached_property
    def _texts(self) -> list[tuple[Claim, str]]:
        """Every claim with each of its wordings."""
        return [
            (claim, text) for claim in self._claims for text in (claim.says, *(place.quote for place in claim.places))
        ]

    @cached_property
    def _weights(self) -> dict[str, float]:
        """Word -> its inverse document frequency, in nats, where each claim is a document."""
        documents = [
            set().union(*(_stems(text) for owner, text in self._texts if owner is claim)) for claim in self._claims
        ]
        counts = Counter(word for document in documents for word in document)
        return {word: math.log((1 + len(documents)) / count) for word, count in counts.items()}

    def find(self, text: str) -> list[Claim]:
        """The claims whose quote the sentence has word for word, else the one that it paraphrases; maybe none."""
        plain = _plain(text)
        quoted = [
            claim
            for claim in self._claims
            if any(_is_in(_plain(place.quote), plain) for place in claim.places) and _agrees(claim, text)
        ]
        if quoted:
            return quoted
        best = max(
            ((self._compare(text, own), claim) for claim, own in self._texts), key=lambda pair: pair[0], default=None
        )
        return [best[1]] if best and best[0] >= SAME_WORDS and _agrees(best[1], text) else []

    def _compare(self, text: str, own: str) -> float:
        """How alike two wordings are, from 0 to 1: Dice's coefficient of their weighted words."""
        ours, theirs = _stems(own), _stems(text)
        if min(len(ours), len(theirs)) < SHORTEST_QUOTE or not any(word.isalpha() for word in ours & theirs):
            return 0.0
        unknown = math.log(1 + len(self._claims))
        weight = {word: self._weights.get(word, unknown) for word in ours | theirs}
        shared = sum(weight[word] for word in ours & theirs)
        return 2 * shared / (sum(weight[word] for word in ours) + sum(weight[word] for word in theirs))


def _agrees(claim: Claim, text: str) -> bool:
    """Whether a sentence names a setting of the claim where the claim's sentence does.

    Its losses may be others: then the sentence says something else of the same quantity. Its learning rates may not.
    """
    rates = [number for number in claim.numbers if "e-" in number]
    found = read_numbers(text)
    return all(any(_is_same(number, rate) for number in found) for rate in rates)


def _is_same(number: Number, text: str) -> bool:
    return any(number.equals(other.value) for other in read_numbers(text))


REMEMBERED = 4_096
"""Texts whose words are kept: every sentence is compared with each wording of each claim."""


@lru_cache(REMEMBERED)
def _plain(text: str) -> str:
    return " ".join(re.sub(r"[*_`#|“”\"~≈]+", " ", text.lower()).split())


def _is_in(quote: str, text: str) -> bool:
    return len(quote.split()) >= SHORTEST_QUOTE and re.search(rf"(?<!\w){re.escape(quote)}(?!\w)", text) is not None


@lru_cache(REMEMBERED)
def _stems(text: str) -> frozenset[str]:
    """The words of a text without their usual endings (`explodes` and `exploded` are one), and its numbers."""
    words = (word for word in WORD.findall(text.lower()) if len(word) > 1 and word not in STOP_WORDS)
    stems = {re.sub(r"(?<=\w{3})(?:ing|ed|es|e|s|ly)$", "", word) for word in words}
    return frozenset(SYNONYMS.get(stem, stem) for stem in stems) | {
        f"{number.value:g}" for number in read_numbers(text)
    }
