"""What the command writes: the same bytes each time, and the committed files are these."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from gptexp.errors import GptexpError
from gptexp.notebook import build
from gptexp.notebook.build import EDITIONS, PAGE, build_files, find_drift, write_files
from gptexp.notebook.exercises import EXERCISES
from gptexp.notebook.instructor import write_page
from gptexp.notebook.percent import Cell, read_cells
from tests.cli.conftest import Call
from tests.cli.conftest import call as call

COMMITTED = Path(__file__).parents[2] / "reports/notebook"


def test_the_committed_files_follow_from_the_source() -> None:
    """Whoever changed the source, a check or a wrong answer has run `gptexp notebook`."""
    assert find_drift(COMMITTED) == []


def test_the_same_source_gives_the_same_bytes() -> None:
    """Building twice changes no byte."""
    assert build_files() == build_files()


@pytest.mark.parametrize("name", EDITIONS)
def test_an_edition_is_a_clean_notebook(name: str) -> None:
    """Valid, with ids that differ, and without outputs, counts or times."""
    notebook = nbformat.reads(build_files()[name].decode(), 4)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    assert [cell.metadata.exercise for cell in notebook.cells if "exercise" in cell.metadata] == [
        exercise.name for exercise in EXERCISES
    ]


def test_the_command_writes_and_checks(call: Call, tmp_path: Path) -> None:
    """It names what it wrote; --check exits 0 on that, and 1 with a sentence for each file that is other or gone."""
    out = tmp_path / "lesson"
    written = call("notebook", "--out", str(out))
    assert written.status == 0
    assert written.out.split() == [str(out / name) for name in (*EDITIONS, PAGE)]
    assert call("notebook", "--out", str(out), "--check").status == 0
    page = out / PAGE
    page.write_text(page.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    (out / next(iter(EDITIONS))).unlink()
    checked = call("notebook", "--out", str(out), "--check")
    assert checked.status == 1
    assert f"{next(iter(EDITIONS))} is missing" in checked.out
    assert f"{PAGE} is not what the source gives today" in checked.out


def test_a_students_work_is_not_written_over(call: Call, tmp_path: Path) -> None:
    """Unchanged files are written again; where one was changed nothing is written, unless that is asked for."""
    assert call("notebook", "--out", str(tmp_path)).status == 0
    assert call("notebook", "--out", str(tmp_path)).status == 0
    mine, other = (tmp_path / name for name in EDITIONS)
    mine.write_text("my answers", encoding="utf-8")
    other.unlink()
    reply = call("notebook", "--out", str(tmp_path))
    assert reply.status == 2
    assert f"{mine} is there and was changed" in reply.sentences()[0]
    assert mine.read_text(encoding="utf-8") == "my answers"
    assert not other.exists()
    mine.unlink()
    mine.symlink_to(tmp_path / "elsewhere")
    assert call("notebook", "--out", str(tmp_path)).status == 2
    assert call("notebook", "--out", str(tmp_path), "--replace").status == 0
    assert call("notebook", "--out", str(tmp_path), "--check").status == 0
    assert call("notebook", "--out", str(mine / "below")).status in (1, 2)
    assert call("notebook", "--out", str(mine / "below")).sentences()[0].startswith("gptexp: can't write")


def test_the_page_shows_every_mistake() -> None:
    """Each exercise has its check, and a row for the empty answer and for each wrong one."""
    page = build_files()[PAGE].decode()
    for exercise in EXERCISES:
        assert f"check `{exercise.check.__name__}`" in page
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| answer")]
    assert len(rows) == sum(1 + len(exercise.wrong) for exercise in EXERCISES)


def test_checks_and_cells_belong_together() -> None:
    """A source that lacks an exercise stops the build."""
    with pytest.raises(GptexpError, match=r"has the exercises .* and its checks are for Windows"):
        write_page([Cell(True, "# Title", "", "", 1)])


def test_a_missing_source_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the source says so in a sentence."""
    monkeypatch.setattr(build, "SOURCE", "no-such.py")
    with pytest.raises(GptexpError, match="is missing from this installation"):
        write_files(tmp_path)


def test_the_page_has_the_notebooks_title() -> None:
    """The instructor's page is about the notebook beside it."""
    title = read_cells((COMMITTED / build.SOURCE).read_text(encoding="utf-8"))[0].source.splitlines()[0]
    assert build_files()[PAGE].decode().startswith(f"# For the instructor: {title.removeprefix('# ')}\n")
