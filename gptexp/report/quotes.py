"""Numbers that sentences quote from the records, each with the runs that it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gptexp.comparisons.read import read_arm
from gptexp.errors import GptexpError
from gptexp.measures.catalog import parse_measure
from gptexp.runs.study_runs import StudyRuns

SLOT = re.compile(r"\{([^{}:]+):([^{}:]+):([^{}]+)\}")
CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Quote:
    """A number in a sentence."""

    text: str
    value: float
    """Unrounded; of several seeds the mean."""
    run_ids: tuple[str, ...]
    study_key: str = ""
    """The key of the study instance that it was read from."""


@dataclass(frozen=True)
class Code:
    """A word of code in a sentence."""

    text: str


Phrase = str | Quote | Code


def fill_text(text: str, studies: Mapping[str, StudyRuns]) -> tuple[Phrase, ...] | None:
    """`text` with its slots filled; None where the records lack one of the numbers.

    Args:
        studies: by their name.

    Raises:
        GptexpError: it quotes a measure that there is none of.
    """
    phrases: list[Phrase] = []
    place = 0
    for slot in SLOT.finditer(text):
        try:
            quote = find_quote(studies.get(slot[1]), slot[2], slot[3])
        except GptexpError as error:
            raise GptexpError(f"the text quotes {slot[0]}: {error}") from None
        if quote is None:
            return None
        phrases += [*_split_code(text[place : slot.start()]), quote]
        place = slot.end()
    return (*phrases, *_split_code(text[place:]))


def find_quote(study: StudyRuns | None, arm_name: str, asked: str) -> Quote | None:
    """The measure `name` or `name@step` of an arm; None where study, arm or number aren't there.

    Raises:
        GptexpError: there is no such measure, or the step is wrong for it.
    """
    measure, step = parse_measure(asked)
    arm = next((arm for arm in study.arms if arm.name == arm_name), None) if study else None
    if study is None or arm is None:
        return None
    values = list(read_arm(study, arm, measure, step).values.values())
    if not values:
        return None
    return Quote(measure.write_all(values), measure.average(values), tuple(arm.run_ids), study.key)


def _split_code(text: str) -> list[Phrase]:
    """Words between backticks as code."""
    pieces = CODE.split(text)
    return [Code(piece) if number % 2 else piece for number, piece in enumerate(pieces) if piece]
