"""Functions shown from their source, aligned line by line and coloured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, String, _TokenType

from gptexp.lesson.compare import Part, read_function
from gptexp.lesson.compare import align as align_lines

CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "c"),
    (String, "s"),
    (Number, "m"),
    (Keyword, "k"),
    (Name.Function, "f"),
)
"""Kinds of tokens that get a look of their own."""


@dataclass(frozen=True)
class Line:
    """One line of code in a comparison."""

    kind: str
    """same, changed, added, removed; absent keeps its neighbour's place; plain where nothing is compared."""
    tokens: tuple[tuple[str, str], ...] = ()
    """(class, text)"""


@dataclass(frozen=True)
class Listing:
    """A function as the page shows it."""

    title: str
    path: str
    """Of its source, below the package's parent."""
    lines: tuple[Line, ...]
    source: str


@dataclass(frozen=True)
class CodeShown:
    """A function, or two beside each other."""

    name: str
    title: str
    caption: str
    listings: tuple[Listing, ...]
    is_aligned: bool
    run_ids: tuple[str, ...] = ()


def compare_functions(
    name: str,
    title: str,
    caption: str,
    sides: Sequence[tuple[str, str, str]],
    *,
    align: bool = False,
    part: Part = "all",
) -> CodeShown:
    """Functions beside each other; with `align`, the common lines of two meet and the others are marked.

    Args:
        sides: (title, module, function) of each from the left on.
    """
    sources = [read_function(module, function, part) for _, module, function in sides]
    kinds = align_lines(*(source.splitlines() for source in sources)) if align else None
    listings = []
    for side, ((heading, module, _), source) in enumerate(zip(sides, sources, strict=True)):
        coloured = colour(source)
        if kinds is None:
            lines = [Line("plain", tokens) for tokens in coloured]
        else:
            rows = iter(coloured)
            lines = [Line("absent") if kind == ("added", "removed")[side] else Line(kind, next(rows)) for kind in kinds]
        listings.append(Listing(heading, f"gptexp/{module}", tuple(lines), source))
    return CodeShown(name, title, caption, tuple(listings), align)


def colour(source: str) -> list[tuple[tuple[str, str], ...]]:
    """Per line the (class, text) of its tokens."""
    lines: list[list[tuple[str, str]]] = [[]]
    for kind, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(source):
        name = next((name for group, name in CLASSES if kind in group), "")
        pieces = text.split("\n")
        for number, piece in enumerate(pieces):
            if number:
                lines.append([])
            if piece:
                lines[-1].append((name, piece))
    return [tuple(line) for line in lines]
