"""Both editions, executed top to bottom: the solved one trains, the student's stops at each exercise."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from gptexp.data.corpus import FAILED_MARK, cache_dir
from gptexp.notebook.build import build_files, find_source
from gptexp.notebook.exercises import EXERCISES
from gptexp.notebook.instructor import ask, run_cell
from gptexp.notebook.percent import read_cells

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

STEPS, STUDY_STEPS = 60, 6
REPORT = """
import json
print(json.dumps({"history": history, "evals": evals, "arms": arms["outcome"].tolist(), "guesses": len(guesses)}))
"""
NAMES = re.compile(r"GPT-2|Series \d|(?:Phase|Exercise) \d|^\d\.", re.MULTILINE)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both editions with their outputs. They share a folder, so the experiments are trained once."""
    folder = tmp_path_factory.mktemp("lesson")
    # Without TinyShakespeare on disk nobody waits for a network.
    cache_dir().mkdir(parents=True, exist_ok=True)
    (cache_dir() / FAILED_MARK).touch()
    files = build_files()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LESSON_STEPS", str(STEPS))
        patch.setenv("LESSON_STUDY_STEPS", str(STUDY_STEPS))
        solved = nbformat.reads(files["4-3-2-pretraining-solved.ipynb"].decode(), 4)
        solved.cells.append(nbformat.v4.new_code_cell(REPORT))
        student = nbformat.reads(files["4-3-2-pretraining.ipynb"].decode(), 4)
        for notebook, lenient in ((solved, False), (student, True)):
            place = {"metadata": {"path": str(folder)}}
            NotebookClient(notebook, timeout=1200, allow_errors=lenient, resources=place).execute()
    return {"solved": solved, "student": student}


def read_outputs(cell: Any) -> str:
    """All that a cell shows, as text."""
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])]
    return "\n".join(texts)


def test_the_solved_edition_trains(executed: dict[str, Any]) -> None:
    """Every cell runs; all losses are finite and fall, train and val; all experiments complete; all guesses count."""
    told = json.loads(read_outputs(executed["solved"].cells[-1]))
    losses, evals = told["history"]["train_loss"], list(told["evals"].values())
    assert len(losses) == STEPS
    assert all(math.isfinite(loss) for loss in [*losses, *evals])
    assert sum(losses[-10:]) / 10 < losses[0] - 1
    assert evals[-1] < evals[0] - 1
    assert told["arms"] == ["completed"] * 4
    assert told["guesses"] == 10


def test_checks_pass_and_pictures_are_shown(executed: dict[str, Any]) -> None:
    """In the solved edition each check says “Right”, and seven figures are there."""
    outputs = [read_outputs(cell) for cell in executed["solved"].cells if cell.cell_type == "code"]
    assert sum(text.startswith("Right: ") for text in outputs) == len(EXERCISES)
    data = [o.get("data", {}) for cell in executed["solved"].cells for o in cell.get("outputs", [])]
    assert sum("image/png" in one for one in data) == 7


def test_nothing_goes_to_stderr(executed: dict[str, Any]) -> None:
    """A student sees no warning that is not meant."""
    outputs = [output for cell in executed["solved"].cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


def test_each_exercise_fails_with_its_message(executed: dict[str, Any]) -> None:
    """Run as it comes, the student's edition shows at each check the sentence that this exercise is still empty."""
    cells = {cell.exercise: cell for cell in read_cells(find_source().read_text(encoding="utf-8")) if cell.exercise}
    notebook = executed["student"].cells
    for exercise in EXERCISES:
        (at,) = [n for n, cell in enumerate(notebook) if cell.metadata.get("exercise") == exercise.name]
        check = next(cell for cell in notebook[at + 1 :] if cell.cell_type == "code")
        (error,) = check.outputs
        assert error.ename == "NotYet"
        assert error.evalue == ask(exercise, run_cell(cells[exercise.name], "student"))
        assert error.traceback == [f"Not yet: {error.evalue}"]


def test_no_guess_is_needed(executed: dict[str, Any]) -> None:
    """Guesses that were left out are no error: the experiments compare all the same."""
    shown = "\n".join(read_outputs(cell) for cell in executed["student"].cells)
    assert shown.count("no guess | outcome:") >= 4


def test_prose_has_no_number_that_no_cell_prints(executed: dict[str, Any]) -> None:
    """A number in the text is one that a cell shows, apart from names, headings and commands."""
    cells = executed["solved"].cells
    printed = set(NUMBER.findall("\n".join(read_outputs(cell) for cell in cells)))
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    prose = NAMES.sub("", re.sub(r"`[^`]*`", "", prose))
    assert set(NUMBER.findall(prose)) - printed == set()


def test_a_version_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    """Where gptexp can't be installed, the first cell stops with one sentence that says what to do."""
    code = next(cell.source for cell in read_cells(find_source().read_text(encoding="utf-8")) if not cell.is_markdown)
    wanted = re.sub(r'GPTEXP = "[^"]+"', 'GPTEXP = "gptexp==99.0"', code)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    # Without site-packages there is no gptexp.
    command = [sys.executable, "-S", "-c", wanted]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: gptexp==99.0 can't be installed (")
    assert "run this cell again" in last
    assert "ImportError" not in done.stderr
