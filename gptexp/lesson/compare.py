"""The lesson's code as text: read from its source without importing it, and aligned line by line.

The page marks what is new in one loop, and a claim counts these marks, so both come from here.
"""

from __future__ import annotations

import ast
import re
import textwrap
from difflib import SequenceMatcher
from pathlib import Path

import gptexp

PACKAGE = Path(gptexp.__file__).parent
ALIKE = 0.5
"""Lines at least this similar (difflib's ratio) stand beside each other as a changed line."""
LINTER = re.compile(r"\s*#\s*(?:type: ignore|noqa)[^#]*$")
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


def read_function(module: str, name: str, *, loop: bool = False) -> str:
    """The source of a function of the package, without its docstring and its notes to linters.

    Args:
        module: path below the package, `lesson/gpt_loop.py`.
        loop: only its training loop, the outermost `for`.

    Raises:
        KeyError: the module defines no such function.
    """
    text = (PACKAGE / module).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            shown = next(part for part in node.body if isinstance(part, ast.For)) if loop else node
            first, last = shown.lineno - 1, shown.end_lineno or shown.lineno
            lines = text.splitlines()
            doc = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
            dropped = range(doc.lineno - 1, doc.end_lineno or doc.lineno) if doc else range(0)
            kept = [lines[number] for number in range(first, last) if number not in dropped]
            return textwrap.dedent("\n".join(LINTER.sub("", line) for line in kept))
    raise KeyError(name)


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
