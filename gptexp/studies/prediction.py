"""A study's hypothesis as predicates over measures: entered with a hash before its runs, and held against them after.

The fields are those of a claim in a ledger (`gptexp.claims.ledger`), without a document.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from gptexp.errors import GptexpError, shorten
from gptexp.identity import canonical_json, short_hash
from gptexp.measures.catalog import parse_measure, split_quantity
from gptexp.plain import fits
from gptexp.text import hide_paths

Relation = Literal["about", "below", "above", "happens", "never"]
LONGEST = 4_000
"""Characters of all predictions of a study, as they stand in its records."""
TYPES: dict[str, Any] = {
    **dict.fromkeys(("says", "quantity", "relation", "other"), str),
    "stated": float | None,
    "tolerance": float,
}
NUMBERS = ("stated", "tolerance")


@dataclass(frozen=True)
class Prediction:
    """One sentence of a hypothesis, and the predicate that checks it."""

    says: str
    """The sentence, which is either true or false."""
    quantity: str
    """`arm:measure` of `gptexp.measures.catalog`, or one minus another."""
    relation: Relation
    """What is predicted of it. happens and never: an event happens in every seed, or in none."""
    other: str = ""
    """The quantity to compare with, paired by seed; same form as `quantity`."""
    stated: float | None = None
    """The number to compare with, where there is no other quantity."""
    tolerance: float = 0.0
    """about: how far apart they may be. below, above: the smallest difference that counts."""

    def check(self, place: str, arms: Collection[str]) -> None:
        """Refuse what no run of the study can decide.

        Raises:
            GptexpError: an arm or measure that there is none of, or a relation that lacks its number.
        """
        for name, kind in TYPES.items():
            value = getattr(self, name)
            if not fits(value, kind) or (isinstance(value, float) and not math.isfinite(value)):
                raise GptexpError(
                    f"{place}: {name}={shorten(value)}; expected a {'finite number' if name in NUMBERS else 'text'}"
                )
        if self.relation not in get_args(Relation):
            relations = ", ".join(get_args(Relation))
            raise GptexpError(f"{place}: relation={self.relation!r}; expected one of {relations}")
        if not self.quantity.strip():
            raise GptexpError(f"{place} has no quantity; name one, like {next(iter(arms), 'arm')}:final_val_loss")
        for arm, measure in [*split_quantity(self.quantity), *split_quantity(self.other)]:
            if arm not in arms:
                raise GptexpError(f"{place}: there is no arm {arm!r} in the study; it has {', '.join(arms)}")
            parse_measure(measure)
        is_event = self.relation in ("happens", "never")
        if not self.quantity or is_event == (bool(self.other) or self.stated is not None):
            raise GptexpError(
                f"{place}: {self.relation} needs a quantity and {'neither' if is_event else 'one of'} other and stated"
            )


def check_predictions(place: str, predictions: Any, arms: Collection[str]) -> None:
    """Refuse predictions that the records of a study can't hold, or that no run of it can decide.

    Raises:
        GptexpError: what is wrong with which of them.
    """
    if not isinstance(predictions, tuple | list) or not all(isinstance(one, Prediction) for one in predictions):
        raise GptexpError(f"{place}: predictions={shorten(predictions)}; expected a tuple of Prediction(...)")
    for number, prediction in enumerate(predictions, 1):
        prediction.check(f"{place}: prediction {number}", arms)
    if (length := len(encode_predictions(predictions))) > LONGEST:
        raise GptexpError(
            f"{place}: its predictions have {length:,} characters in the records, and {LONGEST:,} are the most; "
            f"shorten them"
        )


def encode_predictions(predictions: Sequence[Prediction]) -> str:
    """As they stand in the records of a study; empty where there are none.

    Folders are taken out of the sentences before the hash is made, so that records which are published keep it.
    """
    rows = [{**asdict(one), "says": hide_paths(one.says)} for one in predictions]
    return canonical_json(rows) if rows else ""


def decode_predictions(text: str) -> tuple[Prediction, ...]:
    """What `encode_predictions` has written; nothing where a text is something else."""
    try:
        rows = json.loads(text) if text and len(text) <= LONGEST else []
        found = [Prediction(**row) for row in rows]
    except (TypeError, ValueError, RecursionError):
        return ()
    for one in found:
        if one.relation not in get_args(Relation):
            return ()
        if not all(fits(getattr(one, name), kind) for name, kind in TYPES.items()):
            return ()
    return tuple(found)


def hash_predictions(text: str) -> str:
    """The hash under which they are entered."""
    return short_hash(text)
