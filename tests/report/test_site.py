"""A published page is served as it is by GitHub Pages and by a static Space, and says nothing of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gptexp.errors import GptexpError
from gptexp.report.build import build_report
from gptexp.report.bundle import hash_content
from gptexp.report.document import BuiltReport
from gptexp.report.site import publish_report
from tests.report.synthetic import lr_ablation, write_runs


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    folder = tmp_path_factory.mktemp("site")
    write_runs(folder / "runs", lr_ablation(seeds=2, max_steps=60))
    next((folder / "runs").glob("*/config.json")).write_text("{")
    return build_report("study", runs_dir=folder / "runs", out=folder / "out")


def test_a_web_host_finds_what_it_needs(report: BuiltReport, tmp_path: Path) -> None:
    """The page, no Jekyll, the Space's settings, and every file that the manifest names with its checksum."""
    publish_report(report, tmp_path / "docs")
    folder = tmp_path / "docs"
    assert (folder / ".nojekyll").read_bytes() == b""
    assert (
        (folder / "README.md")
        .read_text()
        .startswith('---\ntitle: "gptexp report study"\nsdk: static\napp_file: index.html\n---\n')
    )
    assert (folder / "index.html").read_bytes() == report.page.read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {entry["path"] for entry in manifest["files"]} | {"manifest.json"}
    for entry in manifest["files"]:
        assert hash_content((folder / entry["path"]).read_bytes()) == entry["sha256"]


def test_nothing_of_the_machine_goes_along(report: BuiltReport, tmp_path: Path) -> None:
    """No typed command and no path of a damaged file; how to repeat a run stays."""
    publish_report(report, tmp_path / "docs")
    manifest = json.loads((tmp_path / "docs" / "manifest.json").read_text())
    assert report.manifest["damaged"]
    assert "damaged" not in manifest
    assert all("command" in run for run in report.manifest["runs"].values())
    assert manifest["runs"]
    assert all("command" not in run and run["repeat"] for run in manifest["runs"].values())


def test_it_can_be_published_again(report: BuiltReport, tmp_path: Path) -> None:
    """The same bytes; a file of the user's beside it stays, and a folder of other things is left alone."""
    publish_report(report, tmp_path / "docs")
    before = (tmp_path / "docs" / "manifest.json").read_bytes()
    (tmp_path / "docs" / "CNAME").write_text("example.org")
    publish_report(report, tmp_path / "docs")
    assert (tmp_path / "docs" / "manifest.json").read_bytes() == before
    assert (tmp_path / "docs" / "CNAME").read_text() == "example.org"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(GptexpError, match=r"no gptexp report; choose an empty folder or a new one with --publish"):
        publish_report(report, tmp_path / "thesis")


def test_a_link_to_itself_is_one_sentence(report: BuiltReport, tmp_path: Path) -> None:
    """It names no folder that could be written."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(GptexpError, match="leads to itself; choose another folder with --publish"):
        publish_report(report, tmp_path / "loop")
