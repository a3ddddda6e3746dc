"""Functions shown from their source: read without importing them, aligned line by line, and coloured."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal

from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, String, _TokenType

import gptexp

PACKAGE = Path(gptexp.__file__).parent
ALIKE = 0.5
"""Lines at least this similar (difflib's ratio) stand beside each other as a changed line."""
LINTER = re.compile(r"\s*#\s*(?:type: ignore|noqa)[^#]*$")
NOT_SHOWN = "# not shown"
"""Stands behind lines that are there for the caller alone, such as one that keeps a loss for a test."""
Part = Literal["all", "body", "loop"]
"""What of a function is shown: all of it, the lines of its body, or its last loop."""
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


def read_function(module: str, name: str, part: Part = "all") -> str:
    """The source of a function of the package as a student would write it.

    It comes without docstring, type hints, notes to linters and lines that are marked `NOT_SHOWN`.

    Args:
        module: path below the package, `lesson/gpt_loop.py`.

    Raises:
        KeyError: the module defines no such function.
    """
    text = (PACKAGE / module).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return _cut_out(text.splitlines(), node, part)
    raise KeyError(name)


def _cut_out(lines: list[str], node: ast.FunctionDef, part: Part) -> str:
    """The lines of a part of a function, moved to the left edge."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    begin, end = body[0], body[-1]
    if part == "loop":
        begin = end = next(statement for statement in reversed(body) if isinstance(statement, ast.For))
    first, last = begin.lineno - 1, end.end_lineno
    kept = [LINTER.sub("", line) for line in lines[first:last] if NOT_SHOWN not in line]
    if part == "all":
        names = ", ".join(argument.arg for argument in node.args.args)
        kept.insert(0, f"def {node.name}({names}):")
    return textwrap.dedent("\n".join(kept))


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
    kinds = _align(*(source.splitlines() for source in sources)) if align else None
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


def _align(left: list[str], right: list[str]) -> list[str]:
    """The kinds of the rows of a side-by-side view: of all ways to pair lines in order, the most similar one."""
    likeness = [[_compare(a, b) for b in right] for a in left]
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            paired = likeness[i][j] + best[i + 1][j + 1] if likeness[i][j] >= ALIKE else -1.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    kinds, i, j = [], 0, 0
    while i < len(left) or j < len(right):
        both = i < len(left) and j < len(right)
        if both and likeness[i][j] >= ALIKE and best[i][j] == likeness[i][j] + best[i + 1][j + 1]:
            kinds.append("same" if left[i].strip() == right[j].strip() else "changed")
            i, j = i + 1, j + 1
        elif i < len(left) and (j == len(right) or best[i][j] == best[i + 1][j]):
            kinds.append("removed")
            i += 1
        else:
            kinds.append("added")
            j += 1
    return kinds


def _compare(a: str, b: str) -> float:
    """1 for lines that are equal but for their indentation, else at most 0.95."""
    if a.strip() == b.strip():
        return 1.0
    return 0.95 * SequenceMatcher(None, a.strip(), b.strip(), autojunk=False).ratio()


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
