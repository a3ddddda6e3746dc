"""Checks the texts, numbers and settings of a study file when it is loaded, with messages for its author."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptexp.errors import GptexpError, shorten
from gptexp.text import clean_text

FEWEST_SEEDS = 3
"""Paired seeds from which on arms may be told apart: the scatter of fewer says next to nothing."""
MOST_SEEDS = 10_000
"""Largest number of seeds per arm, because a plan lists every run."""


def check_text(place: str, value: object, *, is_name: bool = False) -> str:
    """Check a text of a study file and clean it for records and pages. A name must be one line and not empty.

    Raises:
        GptexpError: it is not text, or it is an empty name.
    """
    if not isinstance(value, str):
        raise GptexpError(f"{place}={shorten(value)}: expected text in quotes, found {_name_type(value)}")
    text = clean_text(value)
    if not is_name:
        return text
    if not text.strip():
        raise GptexpError(f"{place}={value!r} is empty; give it a few letters")
    return text.replace("\n", "\\n").replace("\t", "\\t")


def check_count(place: str, value: object, *, least: int, most: int) -> int:
    """Check a whole number of a study file.

    Raises:
        GptexpError: it is not a whole number, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise GptexpError(f"{place}={shorten(value)}: expected a whole number from {least} to {most:,}")
    return value


def check_settings(place: str, value: object) -> dict[str, Any]:
    """Check config fields of a study file and copy them to a new dict. Their values are validated later by the config.

    Raises:
        GptexpError: it is not a mapping from names to text, numbers, booleans, None or lists of numbers.
    """
    if not isinstance(value, Mapping):
        raise GptexpError(f'{place}={shorten(value)}: expected a mapping of config fields, such as {{"lr": 1e-3}}')
    for name, setting in value.items():
        if not isinstance(name, str):
            raise GptexpError(f"{place}: {shorten(name)} is {_name_type(name)}, expected the name of a config field")
        if not _is_plain(setting):
            raise GptexpError(
                f"{place}: {name}={shorten(setting)} is {_name_type(setting)}, expected text, a number, True, False, "
                f"None or a list of numbers or texts"
            )
    return dict(value)


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(part, int | float | str) for part in value)
    return value is None or isinstance(value, str | int | float)


def _name_type(value: object) -> str:
    return f"of type {type(value).__name__}"
