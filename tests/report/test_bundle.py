"""The report's folder is replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptexp.errors import GptexpError
from gptexp.report import bundle
from gptexp.report.bundle import write_bundle

FIRST = {
    "index.html": "one",
    "figures/a.svg": "<svg/>",
    "manifest.json": '{"generator": "gptexp", "files": [{"path": "index.html"}, {"path": "figures/a.svg"}]}',
}
SECOND = {"index.html": "two", "manifest.json": '{"generator": "gptexp", "files": [{"path": "index.html"}]}'}


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_new_report_replaces_the_old_one_and_keeps_foreign_files(tmp_path: Path) -> None:
    """Files of the last report that the new one doesn't have go, a note that somebody put there stays."""
    out = tmp_path / "out"
    write_bundle(out, FIRST)
    (out / "note.txt").write_text("mine")
    write_bundle(out, SECOND)
    assert list_files(tmp_path) == {"out/index.html", "out/manifest.json", "out/note.txt"}
    assert (out / "index.html").read_text() == "two"


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    """A folder that holds no report of ours is left as it is, with one sentence."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(GptexpError, match="no gptexp report"):
        write_bundle(tmp_path, FIRST)
    assert list_files(tmp_path) == {"thesis.tex"}
    (tmp_path / "manifest.json").write_text('{"generator": "another", "files": []}')
    with pytest.raises(GptexpError, match="no gptexp report"):
        write_bundle(tmp_path, FIRST)
    with pytest.raises(GptexpError, match="takes a folder"):
        write_bundle(tmp_path / "thesis.tex", FIRST)


def test_a_failed_write_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new folder can't be finished, the old page stands untouched and nothing is left beside it."""
    out = tmp_path / "out"
    write_bundle(out, FIRST)

    def fail(fresh: Path, out: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "_swap", fail)
    with pytest.raises(GptexpError, match="No space left"):
        write_bundle(out, SECOND)
    assert (out / "index.html").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
