"""Study and report files are found and loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptexp.errors import GptexpError
from gptexp.studies.locate import find_files, load_object


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_working_directory_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in ./reports replaces the one of the same name that came with gptexp; helpers are no reports."""
    monkeypatch.chdir(tmp_path)
    shipped = find_files("reports")
    assert "study" in shipped
    mine = write(tmp_path / "reports" / "study.py", "REPORT = 1")
    write(tmp_path / "reports" / "_shared.py", "")
    found = find_files("reports")
    assert found["study"] == mine
    assert "_shared" not in found
    assert load_object(found["study"], "REPORT") == 1


def test_a_changed_file_is_read_afresh(tmp_path: Path) -> None:
    """No stale bytecode, and none is left beside the file."""
    path = write(tmp_path / "a.py", "X = 1")
    assert load_object(path, "X") == 1
    write(path, "X = 2")
    assert load_object(path, "X") == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.py"]


def test_dataclasses_with_postponed_annotations_load(tmp_path: Path) -> None:
    """A study file may define what Python files usually define."""
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 3\n"
    )
    assert load_object(write(tmp_path / "a.py", source + "B = A()"), "B").x == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("X = 1\nY = (", r"a\.py, line 2: SyntaxError"),
        ("\nX = 1 / 0\n", r"a\.py, line 2: ZeroDivisionError: division by zero"),
        ("import gptexp_no_such\n", r"a\.py, line 1: ModuleNotFoundError"),
        ("from gptexp.config import build_config\nX = build_config({'lrr': 1})\n", r"a\.py, line 2: 'lrr' is not a"),
        ("import sys\nsys.exit(3)\n", r"a\.py, line 2: SystemExit"),
        ("Y = 1\n", r"a\.py doesn't define X"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, source: str, message: str) -> None:
    """Whatever is wrong in the file becomes one sentence on one line."""
    path = write(tmp_path / "a.py", source)
    with pytest.raises(GptexpError, match=message) as caught:
        load_object(path, "X")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """A path that can't be read says so."""
    with pytest.raises(GptexpError, match="can't be read"):
        load_object(tmp_path / "none.py", "X")
