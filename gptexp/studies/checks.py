"""What a study file may say: its texts, numbers and settings checked as it is loaded, in sentences for its author."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptexp.errors import GptexpError, shorten
from gptexp.text import clean_text

MOST_SEEDS = 10_000
"""Per arm: a plan lists them one by one."""


def check_text(place: str, value: object, *, is_name: bool = False) -> str:
    """A text of a study file, fit for records and pages. What names something is one line and not empty.

    Raises:
        GptexpError: it is no text, or an empty name.
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
    """A whole number of a study file.

    Raises:
        GptexpError: it is none, or out of its range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise GptexpError(f"{place}={shorten(value)}: expected a whole number from {least} to {most:,}")
    return value


def check_settings(place: str, value: object) -> dict[str, Any]:
    """Config fields of a study file as a dict of its own; whether a run can have their values is checked later.

    Raises:
        GptexpError: it is no mapping from names to plain values.
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
