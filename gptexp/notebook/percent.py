"""The notebook's source: a Python file of cells, and the two editions that come of it.

A cell begins with `# %%`, a text cell with `# %% [markdown]` (the py:percent format of Jupytext). Behind it may stand
`exercise="NAME"`, for a cell in which the student writes, or `edition="solved"`, for a cell of one edition alone. Of

    # SOLUTION
    y = self.tokens[start + 1 : stop + 1]
    # EXERCISE
    # y = ...
    # END

the solved edition has the first lines, and the student's the second ones without their `# `. So the source is the
solved notebook, as a program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gptexp.errors import GptexpError

Edition = Literal["student", "solved"]
HEAD = re.compile(r"# %%(?P<markdown> \[markdown\])?(?P<options>( \w+=\"[^\"]*\")*)")
BLOCK = re.compile(
    r"^(?P<indent> *)# SOLUTION\n(?P<solution>.*?)^ *# EXERCISE\n(?P<exercise>.*?)^ *# END\n", re.MULTILINE | re.DOTALL
)
MARK = re.compile(r"^ *# (SOLUTION|EXERCISE|END)$", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One cell of the source, its markers still in it."""

    is_markdown: bool
    source: str
    exercise: str
    """The exercise that it is; empty where it is none."""
    edition: str
    """The only edition that has it; empty where both do."""
    line: int
    """Where it begins in its file, from 1."""


def read_cells(text: str) -> list[Cell]:
    """The cells of a source file, in order. What stands before the first one is for Jupytext and left out.

    Raises:
        GptexpError: a line that begins a cell can't be read, or a text cell holds code.
    """
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("# %%")]
    return [
        _read_cell(lines[start:stop], start + 1) for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


def _read_cell(lines: list[str], number: int) -> Cell:
    head = HEAD.fullmatch(lines[0])
    options = dict(re.findall(r'(\w+)="([^"]*)"', head["options"])) if head else {}
    if head is None or options.keys() - {"exercise", "edition"}:
        raise GptexpError(f"line {number} of the notebook's source begins no cell: {lines[0]!r}")
    body = "\n".join(lines[1:]).strip("\n")
    if head["markdown"]:
        if stray := [line for line in body.splitlines() if not line.startswith("#")]:
            raise GptexpError(f"the text cell at line {number} of the notebook's source holds code: {stray[0]!r}")
        body = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
    return Cell(bool(head["markdown"]), body, options.get("exercise", ""), options.get("edition", ""), number)


def choose_lines(cell: Cell, edition: Edition) -> str:
    """The cell's text in one edition.

    Raises:
        GptexpError: a marker without the others.
    """

    def choose(block: re.Match[str]) -> str:
        if edition == "solved":
            return block["solution"]
        indent = block["indent"]
        lines = [line.removeprefix(indent).removeprefix("# ") for line in block["exercise"].splitlines()]
        return "".join(f"{indent}{line}\n" for line in lines)

    text = BLOCK.sub(choose, cell.source + "\n").rstrip("\n")
    if MARK.search(text) or (cell.exercise and not BLOCK.search(cell.source + "\n")):
        raise GptexpError(
            f"the cell at line {cell.line} of the notebook's source needs # SOLUTION, # EXERCISE and # END, all three "
            f"and in this order"
        )
    return text


def take_edition(cells: list[Cell], edition: Edition) -> list[tuple[Cell, str]]:
    """The cells of one edition with their texts."""
    return [(cell, choose_lines(cell, edition)) for cell in cells if cell.edition in ("", edition)]
