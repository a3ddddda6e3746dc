"""The instructor's page: the exercises, their solutions, and what the checks say to each wrong answer."""

from __future__ import annotations

import contextlib
import io
import math
import textwrap
from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from gptexp.errors import GptexpError
from gptexp.notebook.answers import NotYet
from gptexp.notebook.exercises import EXERCISES, Exercise
from gptexp.notebook.percent import BLOCK, Cell, Edition, choose_lines

HEAD = """# For the instructor: {title}

Made by `gptexp notebook` from the notebook's source and its checks: don't edit it. Each exercise has a cell of its own
with a check behind it. A check prints a line that begins with “Right”, or stops the cell with the sentence below.
"""


def write_page(cells: Sequence[Cell]) -> str:
    """The page as Markdown.

    Raises:
        GptexpError: the source has other exercises than there are checks, or a check lets a wrong answer pass.
    """
    by_name = {cell.exercise: cell for cell in cells if cell.exercise}
    if list(by_name) != [exercise.name for exercise in EXERCISES]:
        raise GptexpError(
            f"the notebook's source has the exercises {', '.join(by_name)} and its checks are for "
            f"{', '.join(exercise.name for exercise in EXERCISES)}"
        )
    title = next(cell.source for cell in cells if cell.is_markdown).splitlines()[0].lstrip("# ")
    parts = [HEAD.format(title=title)]
    parts += [_describe(number, one, by_name[one.name]) for number, one in enumerate(EXERCISES, start=1)]
    return "\n".join(parts)


def run_cell(cell: Cell, edition: Edition) -> Any:
    """What the cell of an exercise defines, in one of the editions, without the rest of the notebook."""
    names: dict[str, Any] = {
        "torch": torch,
        "nn": nn,
        "F": F,
        "math": math,
        "islice": islice,
        "Dataset": Dataset,
    }
    exec(choose_lines(cell, edition), names)
    return names[cell.exercise]


def ask(exercise: Exercise, answer: Any) -> str | None:
    """What the check says to an answer that is wrong; None where it is right."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exercise.check(answer)
    except NotYet as error:
        return str(error)
    return None


def _describe(number: int, exercise: Exercise, cell: Cell) -> str:
    if (objection := ask(exercise, run_cell(cell, "solved"))) is not None:
        raise GptexpError(f"the check of {exercise.name} refuses the solution: {objection}")
    answers = [("still empty", run_cell(cell, "student"))]
    answers += [(" ".join(str(wrong.__doc__).split()), wrong) for wrong in exercise.wrong]
    rows = []
    for name, answer in answers:
        said = ask(exercise, answer)
        if said is None:
            raise GptexpError(f"the check of {exercise.name} takes a wrong answer for right: {name}")
        rows.append(f"| {_escape(name)} | {_escape(said)} |")
    solutions = "\n".join(
        textwrap.dedent(block["solution"]).strip("\n") for block in BLOCK.finditer(f"{cell.source}\n")
    )
    return "\n".join(
        [
            f"## Exercise {number}: {exercise.title}",
            "",
            f"Cell `{exercise.name}`, check `{exercise.check.__name__}`. The student's lines:",
            "",
            "```python",
            solutions,
            "```",
            "",
            "| answer | what the check says |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _escape(text: str) -> str:
    """Text for a cell of a Markdown table: code and underscores stay as they are written."""
    return "".join(f"\\{character}" if character in "\\|*_`<>[]" else character for character in text)
