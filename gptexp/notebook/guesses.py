"""What the student expects, beside what came out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from gptexp.wording import write_number


@dataclass(frozen=True)
class Comparison:
    """A guess and its outcome."""

    guess: Any
    """None where there is none."""
    outcome: Any
    verdict: str


def compare(guess: Any, outcome: Any, *, within: float = 0.0) -> Comparison:
    """Print a guess beside what came out.

    Args:
        guess: a number, True, False or a word; None is no guess.
        outcome: as `guess`.
        within: how far a number may lie from the outcome and still count as right.
    """
    found = Comparison(guess, outcome, judge_guess(guess, outcome, within))
    said = "no guess" if guess is None else f"your guess: {write_answer(guess)}"
    print(f"{said} | outcome: {write_answer(outcome)} | {found.verdict}")
    return found


def judge_guess(guess: Any, outcome: Any, within: float) -> str:
    """A word on the guess."""
    if guess is None:
        return "–"
    if isinstance(guess, bool | str) or isinstance(outcome, bool | str):
        return "right" if (type(guess), guess) == (type(outcome), outcome) else "it came otherwise"
    if not math.isfinite(outcome):
        return "there is no number to compare with"
    gap = float(guess) - float(outcome)
    if abs(gap) <= within:
        return "right" if within == 0 else "close"
    return f"{write_number(abs(gap))} too {'high' if gap > 0 else 'low'}"


def write_answer(value: Any) -> str:
    """A guess or an outcome as text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if float(value).is_integer() else write_number(float(value), 4)


class GuessTable:
    """All guesses beside their outcomes, as a notebook shows them."""

    def __init__(self, comparisons: Mapping[str, Comparison]) -> None:
        """
        Args:
            comparisons: by question.
        """
        self._rows = [
            (question, "–" if one.guess is None else write_answer(one.guess), write_answer(one.outcome), one.verdict)
            for question, one in comparisons.items()
        ]

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in [("question", "your guess", "outcome", ""), *self._rows])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self._rows)
        head = "".join(f"<th>{name}</th>" for name in ("question", "your guess", "outcome", ""))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
