"""The lesson's code as text: read from its source without importing it, and aligned line by line.

The page marks what is new in one loop, and a claim counts these marks, so both come from here.
"""

from __future__ import annotations

import ast
import re
import textwrap
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal

import gptexp

PACKAGE = Path(gptexp.__file__).parent
ALIKE = 0.5
"""Lines at least this similar (difflib's ratio) stand beside each other as a changed line."""
LINTER = re.compile(r"\s*#\s*(?:type: ignore|noqa)[^#]*$")
NOT_SHOWN = "# not shown"
"""Stands behind lines that are there for the caller alone, such as one that keeps a loss for a test."""
Part = Literal["all", "body", "loop"]
"""What of a function is shown: all of it, the lines of its body, or its last loop."""
LOOPS = (("lesson/mnist_loop.py", "train_classifier"), ("lesson/gpt_loop.py", "train_gpt"))
"""The two loops that the page compares."""
QUOTED = {
    "train_classifier": ("for images, labels in train_loader",),
    "train_gpt": (
        "for step in range(max_steps)",
        "iter(cycle(train_loader))",
        "x, y = next(train_iter)",
        "param_group['lr']",
        "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)",
    ),
}
"""All code that the lesson's document has of its two loops, in its own words; it shows no loop as a whole."""


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


def align(left: list[str], right: list[str]) -> list[str]:
    """The kinds of the rows of a side-by-side view: of all ways to pair lines in order, the most similar one.

    Returns:
        same, changed, removed (only on the left) or added (only on the right), row by row.
    """
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


def find_unquoted() -> list[str]:
    """The document's own code that the two loops don't have; quotation marks of either kind are the same."""
    found = []
    for module, name in LOOPS:
        source = read_function(module, name).replace('"', "'")
        found += [code for code in QUOTED[name] if code not in source]
    return found
