"""The words of a claim ledger: what a document says, as predicates over runs, and which of its numbers say nothing.

A ledger is a data file (`reports/ledger/NAME.py` binds `LEDGER`) beside the document that it covers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gptexp.errors import GptexpError, did_you_mean
from gptexp.measures.catalog import MINUS, find_measure, split_quantity
from gptexp.measures.measure import Measure
from gptexp.studies.locate import load_declared

Relation = Literal["about", "below", "above", "happens", "never"]


@dataclass(frozen=True)
class Place:
    """Where the document says it."""

    section: str
    """Its headings from the outside in, with ` > ` between them."""
    quote: str
    """Word for word, on one line of the document."""


@dataclass(frozen=True)
class Claim:
    """One checkable sentence of the document. What it says of a number decides what may be said of it."""

    name: str
    places: tuple[Place, ...]
    """The first is the one that is shown."""
    says: str
    """A paraphrase that can be true or false."""
    numbers: tuple[str, ...] = ()
    """The numerals in its quotes that this entry speaks of, as the document writes them."""
    study: str = ""
    """Whose runs speak; empty for what is computed, and for what nothing measures."""
    quantity: str = ""
    """`arm:measure` of `gptexp.measures.catalog`, `arm:measure - arm:measure` for what one arm has more than another,
    seed by seed, or a name of `gptexp.claims.computed`; empty: not measured."""
    relation: Relation = "about"
    """What is said of the quantity. happens and never: of an event, in every seed."""
    stated: float | None = None
    """The document's number."""
    other: str = ""
    """As `quantity`: what to compare with, seed by seed."""
    tolerance: float = 0.0
    """about: how far the quantity may lie from `stated`. below, above: how large a difference has to be to count."""
    why: str = ""
    """Why this predicate and this tolerance; of what is not measured, why not."""
    of_the_loop: bool = False
    """Whether it speaks of the loop, which does the same in every run: one run of any model may judge it."""
    max_steps: int | None = None
    """The length of training that it speaks of; runs planned for another length don't judge it."""
    instead: str = ""
    """What to write where it is refuted. Slots: value other gap stated k without n seeds last_step."""
    way: str = ""
    """Of a sentence that can be meant in several ways, which one `quantity` is: `without clipping`."""
    ways: tuple[Way, ...] = ()
    """The other ways, each with a verdict of its own beside it; the first that can be judged gives the claim's."""
    arms: ArmSettings = field(default_factory=dict, compare=False)
    """What the arms are that it speaks of; filled in by the ledger."""

    @property
    def is_computed(self) -> bool:
        return not self.study and bool(self.quantity)

    @property
    def is_of_a_step(self) -> bool:
        """Whether it states a loss at a step, which depends on the text that was seen by then."""
        return ":train_loss@" in self.quantity and self.relation == "about"

    @property
    def read_in_ways(self) -> tuple[Claim, ...]:
        """The claim in each of its ways, its own first."""
        others = (
            replace(
                self,
                study=way.study,
                quantity=way.quantity,
                other=way.other or self.other,
                instead=way.instead,
                way=way.words,
                ways=(),
            )
            for way in self.ways
        )
        return (self, *others)

    @property
    def readings(self) -> tuple[Claim, ...]:
        """The claim as each study can judge it: its own first, then those that have the same trainings as arms."""
        own = self.arms.get(self.study, {})
        if not self.study or not all(own.get(arm) for arm in self.named_arms):
            return (self,)
        found = [self]
        for study in self.arms.keys() - {self.study}:
            same = {arm: _find_same(own[arm], self.arms[study]) for arm in self.named_arms}
            if all(same.values()):
                quantity, other = _rename(self.quantity, same), _rename(self.other, same)
                found.append(replace(self, study=study, quantity=quantity, other=other))
        return tuple(sorted(found, key=lambda reading: (reading is not self, reading.study)))

    @property
    def named_arms(self) -> tuple[str, ...]:
        """The arms of its study that it speaks of, each once."""
        named = [arm for quantity in (self.quantity, self.other) for arm, _ in split_quantity(quantity)]
        return tuple(dict.fromkeys(named)) if self.study else ()

    @property
    def measure(self) -> Measure:
        """What is measured of runs.

        Raises:
            GptexpError: there is no such measure.
        """
        return find_measure(split_quantity(self.quantity)[0][1].partition("@")[0])

    @property
    def studies(self) -> frozenset[str]:
        """Every study whose runs may speak of it."""
        ways = self.read_in_ways if self.study else ()
        return frozenset(reading.study for way in ways for reading in way.readings)

    @property
    def quote(self) -> str:
        return self.places[0].quote

    @property
    def section(self) -> str:
        return self.places[0].section


ArmSettings = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Study -> arm -> config fields that make the arm what a claim speaks of."""


@dataclass(frozen=True)
class Way:
    """Another way in which a claim's sentence can be meant."""

    words: str
    study: str
    quantity: str
    instead: str
    other: str = ""
    """Empty: that of the claim."""


def _rename(quantity: str, names: Mapping[str, str]) -> str:
    return MINUS.join(f"{names[arm]}:{field}" for arm, field in split_quantity(quantity))


def _find_same(settings: Mapping[str, Any], arms: Mapping[str, Mapping[str, Any]]) -> str:
    """The arm with the same settings; empty where there is none."""
    return next((name for name, other in arms.items() if other == settings), "")


@dataclass(frozen=True)
class NotAClaim:
    """Numerals of the document that assert nothing that runs could refute."""

    pattern: str
    """A regular expression; every numeral inside one of its matches is meant."""
    reason: str


@dataclass(frozen=True)
class Ledger:
    """All that a document claims."""

    document: str
    """File name of the document, beside the ledger's file."""
    claims: tuple[Claim, ...]
    not_claims: tuple[NotAClaim, ...]
    arms: ArmSettings = field(default_factory=dict, compare=False)
    """What the arms of the studies are that claims speak of; runs of an arm that is set otherwise judge nothing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", tuple(replace(claim, arms=self.arms) for claim in self.claims))

    def find(self, name: str) -> Claim:
        """The claim of that name.

        Raises:
            GptexpError: there is none; near names are listed.
        """
        known = {claim.name: claim for claim in self.claims}
        if name not in known:
            raise GptexpError(f"there is no claim {name!r}{did_you_mean(name, known)}")
        return known[name]


def load_ledger(name: str) -> Ledger:
    """The ledger that `reports/ledger/<name>.py` declares.

    Raises:
        GptexpError: there is none, or its file is wrong.
    """
    return load_declared("reports/ledger", "ledger", name, "LEDGER", Ledger)
