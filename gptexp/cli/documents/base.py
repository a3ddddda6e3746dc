"""What all formats have in common."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

Number = float | Literal["NaN", "Infinity", "-Infinity"]
"""A number that may not be finite: strict JSON has no word for it."""
Fields = dict[str, Any]
"""Names and values that the name of the field explains, such as config fields."""


class Part(BaseModel):
    """An object inside of a document."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Document(Part):
    """What a command prints. The first field of each is `format`, its name and version."""

    commands: ClassVar[tuple[str, ...]]
    """Which commands print it."""
    shape: ClassVar[Literal["object", "list", "lines"]] = "object"
    """list: an array of these. lines: one after the other while the command works, each on a line."""


class Error(Document):
    """Why there is no result. The same sentence stands on stderr."""

    commands = ("any command that ends without its result",)

    format: Literal["gptexp.error/1"]
    error: str
    """One sentence: the value, what was expected, what to do."""
    exit_status: int
    """2: the request was wrong. 1: it could not be met. 130: interrupted."""
