"""The types of a claim ledger: the claims of a document as predicates over runs, and its numbers that claim nothing.

A ledger is a Python file `reports/ledger/NAME.py` that assigns `LEDGER`. The document that it covers lies beside it.
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
    """A place in the document that states a claim."""

    section: str
    """The headings above it, outermost first, separated by ` > `."""
    quote: str
    """The document's words, verbatim, from one line."""


@dataclass(frozen=True)
class Claim:
    """One sentence of the document that can be checked, and the predicate that checks it."""

    name: str
    places: tuple[Place, ...]
    """Where the document states it. The first place is the one that reports show."""
    says: str
    """A paraphrase that is either true or false."""
    numbers: tuple[str, ...] = ()
    """The numerals in the quotes that this claim is about, as the document writes them."""
    study: str = ""
    """The study whose runs judge it; empty if it is computed or not measured."""
    quantity: str = ""
    """`arm:measure` of `gptexp.measures.catalog`, `arm:measure - arm:measure` for what one arm has more than another,
    seed by seed, or a name of `gptexp.claims.computed`; empty: not measured."""
    relation: Relation = "about"
    """What the claim says of the quantity. happens and never: an event happens in every seed, or in none."""
    stated: float | None = None
    """The document's number."""
    other: str = ""
    """The quantity to compare with, paired by seed; same form as `quantity`. A name of `gptexp.claims.computed` is the
    same for every seed."""
    tolerance: float = 0.0
    """about: how far the quantity may be from `stated`. below, above: the smallest difference that counts."""
    why: str = ""
    """The reason for this predicate and tolerance; if it is not measured, the reason for that."""
    of_the_loop: bool = False
    """Whether it is about the training loop, which is the same in every run: one run of any model may judge it."""
    max_steps: int | None = None
    """The length of training that it is about, in steps; runs of another planned length don't judge it."""
    instead: str = ""
    """The true sentence to show if it is refuted. Slots: value other gap stated k without n seeds last_step."""
    way: str = ""
    """If the sentence can be read in several ways, the reading that `quantity` stands for: `without clipping`."""
    ways: tuple[Way, ...] = ()
    """The other readings, each with its own verdict; the first reading that can be judged gives the claim's verdict."""
    arms: ArmSettings = field(default_factory=dict, compare=False)
    """The settings that the claim's arms must have; filled in by the ledger."""

    @property
    def is_computed(self) -> bool:
        return not self.study and bool(self.quantity)

    @property
    def is_measurable(self) -> bool:
        """Whether runs or a computation can judge it; else it needs human readers."""
        return bool(self.study or self.quantity)

    @property
    def other_is_computed(self) -> bool:
        return bool(self.other) and ":" not in self.other

    @property
    def is_of_a_step(self) -> bool:
        """Whether it states a loss at a step, which depends on the amount of text seen by then."""
        return ":train_loss@" in self.quantity and self.relation == "about"

    @property
    def read_in_ways(self) -> tuple[Claim, ...]:
        """One claim per way of reading the sentence, its own `way` first."""
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
        """One claim per study that can judge it: its own study first, then those with arms of the same settings."""
        own = self.arms.get(self.study, {})
        if not self.study or not all(own.get(arm) for arm in self.named_arms):
            return (self,)
        found = [self]
        for study in self.arms.keys() - {self.study}:
            same = {arm: _find_same(own[arm], self.arms[study]) for arm in self.named_arms}
            if all(same.values()):
                other = self.other if self.other_is_computed else _rename(self.other, same)
                quantity = _rename(self.quantity, same)
                found.append(replace(self, study=study, quantity=quantity, other=other))
        return tuple(sorted(found, key=lambda reading: (reading is not self, reading.study)))

    @property
    def named_arms(self) -> tuple[str, ...]:
        """The arms of its study that its quantities name, each once."""
        measured = [self.quantity, *([] if self.other_is_computed else [self.other])]
        named = [arm for quantity in measured for arm, _ in split_quantity(quantity)]
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
        """All studies whose runs may judge it."""
        ways = self.read_in_ways if self.study else ()
        return frozenset(reading.study for way in ways for reading in way.readings)

    @property
    def quote(self) -> str:
        return self.places[0].quote

    @property
    def section(self) -> str:
        return self.places[0].section


ArmSettings = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Study -> arm -> config fields that the arm must have for a claim to be about it."""


@dataclass(frozen=True)
class Way:
    """Another way to read a claim's sentence. Fields as in `Claim`."""

    words: str
    """Which reading it is: `clipped at 1.0`."""
    study: str
    quantity: str
    instead: str
    other: str = ""
    """Empty: the same as the claim's."""


def _rename(quantity: str, names: Mapping[str, str]) -> str:
    return MINUS.join(f"{names[arm]}:{field}" for arm, field in split_quantity(quantity))


def _find_same(settings: Mapping[str, Any], arms: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of the arm with the same settings; empty if there is none."""
    return next((name for name, other in arms.items() if other == settings), "")


@dataclass(frozen=True)
class NotAClaim:
    """Numerals of the document that claim nothing that runs could refute."""

    pattern: str
    """A regular expression. It covers every numeral inside one of its matches."""
    reason: str


@dataclass(frozen=True)
class Ledger:
    """All claims of a document."""

    document: str
    """File name of the document, in the folder of the ledger."""
    claims: tuple[Claim, ...]
    not_claims: tuple[NotAClaim, ...] = ()
    arms: ArmSettings = field(default_factory=dict, compare=False)
    """The settings that the claims assume for the arms of their studies; runs with other settings judge nothing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", tuple(replace(claim, arms=self.arms) for claim in self.claims))

    def find(self, name: str) -> Claim:
        """The claim called `name`.

        Raises:
            GptexpError: there is none; the message lists similar names.
        """
        known = {claim.name: claim for claim in self.claims}
        if name not in known:
            raise GptexpError(f"there is no claim {name!r}{did_you_mean(name, known)}")
        return known[name]


def load_ledger(name: str) -> Ledger:
    """The ledger that `reports/ledger/<name>.py` declares.

    Raises:
        GptexpError: there is no such file, or it can't be loaded.
    """
    return load_declared("reports/ledger", "ledger", name, "LEDGER", Ledger)
