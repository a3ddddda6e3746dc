"""The source's format: cells, markers and editions."""

from __future__ import annotations

import re

import jupytext
import pytest

import gptexp
from gptexp.errors import GptexpError
from gptexp.notebook.build import find_source
from gptexp.notebook.percent import choose_lines, read_cells, take_edition

TEXT = find_source().read_text(encoding="utf-8")
EXAMPLE = """# %% [markdown]
# # A title
#
# Text.

# %% exercise="add"
def add(a, b):
    # SOLUTION
    return a + b
    # EXERCISE
    # return ...  # Your line
    # END

# %% [markdown] edition="solved"
# The answer.
"""


def test_an_example_gives_two_editions() -> None:
    """The solved edition has the solution, the student's the exercise, and neither has a marker."""
    cells = read_cells(EXAMPLE)
    solved = [text for _, text in take_edition(cells, "solved")]
    student = [text for _, text in take_edition(cells, "student")]
    assert solved == ["# A title\n\nText.", "def add(a, b):\n    return a + b", "The answer."]
    assert student == ["# A title\n\nText.", "def add(a, b):\n    return ...  # Your line"]


@pytest.mark.parametrize("lost", ["# SOLUTION", "# EXERCISE", "# END"])
def test_a_lost_marker_is_said_with_its_cell(lost: str) -> None:
    """A block without one of its markers would show a solution to students."""
    cells = read_cells(EXAMPLE.replace(f"    {lost}\n", ""))
    with pytest.raises(GptexpError, match=r"line 6 .* needs # SOLUTION, # EXERCISE and # END"):
        choose_lines(cells[1], "student")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# %% exercise=add\n1", "begins no cell"),
        ("# %% [markdown]\nx = 1", "holds code"),
        ('# %% level="3"\n1', "no cell"),
    ],
)
def test_a_wrong_cell_is_said_with_its_line(text: str, said: str) -> None:
    """A slip in the source stops the build."""
    with pytest.raises(GptexpError, match=f"line 1 .*{said}"):
        read_cells(text)


def test_jupytext_reads_the_same_cells() -> None:
    """Whoever opens the source with Jupytext sees the cells that the build sees."""
    theirs = jupytext.reads(TEXT, fmt="py:percent").cells
    ours = read_cells(TEXT)
    assert [(cell.cell_type == "markdown", cell.source) for cell in theirs] == [
        (cell.is_markdown, cell.source) for cell in ours
    ]


def test_the_student_gets_no_solution() -> None:
    """Not a line of a solution is left in the student's edition."""
    student = "\n".join(text for _, text in take_edition(read_cells(TEXT), "student"))
    blocks = re.findall(r"# SOLUTION\n(.*?) *# EXERCISE\n(.*?) *# END", TEXT, re.DOTALL)
    kept = {line.strip().removeprefix("# ").strip() for _, exercise in blocks for line in exercise.splitlines()}
    for solution, _ in blocks:
        for line in {line.strip() for line in solution.splitlines()} - kept:
            assert line not in student


def test_it_installs_the_version_that_it_was_made_for() -> None:
    """The first cell asks for this version of gptexp."""
    assert f'GPTEXP = "gptexp=={gptexp.__version__}"' in TEXT


def test_every_exercise_says_where_to_write() -> None:
    """Each has a line that is marked as the student's, and every guess begins as no guess."""
    student = take_edition(read_cells(TEXT), "student")
    assert all("# Your line" in text for cell, text in student if cell.exercise)
    set_guesses = [line for _, text in student for line in text.splitlines() if re.match(r"guess_\w+ =", line)]
    assert len(set_guesses) >= 8
    assert all(" = None  # " in line or line.endswith(" = None") for line in set_guesses)
