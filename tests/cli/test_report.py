from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

import gptexp.report.build
import gptexp.report.check
from gptexp.cli.carry_out import sum_up
from gptexp.processes import ALONE, Processes
from gptexp.report.check import CheckedReport
from gptexp.report.document import BuiltReport
from gptexp.runs import frames
from tests.cli.conftest import Call, TinyRuns, plan_tiny_runs
from tests.report.synthetic import Run, write_runs


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str | None, dict[str, Any]]]:
    """What the command asks of the report builder, which is not built here, in a folder without an earlier page."""
    monkeypatch.chdir(tmp_path)
    calls: list[tuple[str | None, dict[str, Any]]] = []

    def build_report(name: str | None, *, processes: Processes, **options: Any) -> BuiltReport:
        calls.append((name, options))
        return BuiltReport(options["out"] / "index.html", {}, {"studies": []}, [])

    monkeypatch.setattr(gptexp.report.build, "build_report", build_report)
    return calls


def test_without_a_name_all_studies_go_to_the_default_folder(
    call: Call, asked: list[tuple[str | None, dict[str, Any]]]
) -> None:
    """`gptexp report` asks for the default report of all runs and prints where the page is."""
    reply = call("report", "--runs-dir", "here")
    assert reply.out == f"The page: {Path('reports/out/study/index.html')}\n"
    options = {
        "runs_dir": Path("here"),
        "out": Path("reports/out/study"),
        "studies": None,
        "scales": None,
        "run_ids": None,
    }
    assert asked == [(None, options)]


def test_studies_and_scales_are_repeatable(
    call: Call, tmp_path: Path, asked: list[tuple[str | None, dict[str, Any]]]
) -> None:
    """--study and --scale narrow the report down, --out says where it goes."""
    call("report", "lesson", "--study", "a", "--study", "b", "--scale", "quick", "--out", str(tmp_path))
    name, options = asked[0]
    assert name == "lesson"
    assert (options["studies"], options["scales"], options["out"]) == (("a", "b"), ("quick",), tmp_path)


def test_an_unknown_scale_is_refused_before_anything_is_read(
    call: Call, asked: list[tuple[str | None, dict[str, Any]]]
) -> None:
    """A mistyped scale is named with the known ones."""
    reply = call("report", "--scale", "quik")
    assert (reply.status, asked) == (2, [])
    assert "did you mean quick?" in reply.sentences()[0]


def test_the_page_is_written_from_real_runs(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """The command writes a page about the recorded study and prints its path."""
    reply = call("report", "--runs-dir", str(tiny_runs.folder), "--out", str(tmp_path / "page"))
    assert reply.status == 0
    assert "tiny" in Path(reply.out.splitlines()[-1].removeprefix("The page: ")).read_text(encoding="utf-8")


def test_no_runs_is_one_sentence(call: Call, tmp_path: Path) -> None:
    """Without runs there is no page, and the message says how to make some."""
    reply = call("report", "--runs-dir", str(tmp_path / "none"), "--out", str(tmp_path / "page"))
    assert reply.status == 2
    assert "gptexp run" in reply.sentences()[0]
    assert not (tmp_path / "page").exists()


def test_check_exits_1_when_the_page_no_longer_follows(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """--check says that a page follows from its records, and after an edit which file doesn't; it writes nothing."""
    options = ("--runs-dir", str(tiny_runs.folder), "--out", str(tmp_path / "page"))
    call("report", "study", *options)
    assert call("report", "study", *options, "--check").status == 0
    page = tmp_path / "page" / "index.html"
    page.write_text(page.read_text(encoding="utf-8").replace("step", "leap"), encoding="utf-8")
    edited = page.read_bytes()
    reply = call("report", "study", *options, "--check")
    assert reply.status == 1
    assert "index.html was changed after it was published" in reply.out
    assert page.read_bytes() == edited


def test_publish_writes_a_folder_for_a_web_host(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """--publish writes the page a second time, says where it goes, and stands against --check."""
    options = (
        "--runs-dir",
        str(tiny_runs.folder),
        "--out",
        str(tmp_path / "page"),
        "--publish",
        str(tmp_path / "docs"),
    )
    reply = call("report", *options)
    assert reply.status == 0
    assert f"To publish: {tmp_path / 'docs'}" in reply.out
    assert (tmp_path / "docs" / "index.html").read_bytes() == (tmp_path / "page" / "index.html").read_bytes()
    assert (tmp_path / "docs" / ".nojekyll").exists()
    refused = call("report", *options, "--check")
    assert (refused.status, len(refused.sentences())) == (2, 1)
    assert "leave out --publish" in refused.sentences()[0]


def test_what_a_study_cannot_show_is_printed_first(call: Call, tmp_path: Path) -> None:
    """Before the page's path stands what makes its studies show less than they seem to."""
    arms = [Run("a", "arm A", config={"grad_clip": 1000.0}), Run("b", "arm B", config={"grad_clip": None})]
    write_runs(tmp_path / "runs", arms)
    lines = call("report", "--runs-dir", str(tmp_path / "runs"), "--out", str(tmp_path / "out")).out.splitlines()
    assert lines[1].startswith("What this study cannot show (lr-ablation@quick)")
    assert lines[2].startswith("- Clipping never fired")
    assert lines[-1].startswith("The page: ")


def test_checks_and_pages_after_runs_are_made_by_several_processes(
    call: Call, tiny_runs: TinyRuns, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Like `gptexp report` itself, they hand on the processes that they started."""
    given: list[object] = []

    def build_report(*_: object, processes: Processes, **__: object) -> BuiltReport:
        given.append(processes)
        return BuiltReport(tmp_path, {}, {"studies": []}, [])

    def check_report(*_: object, processes: Processes, **__: object) -> CheckedReport:
        given.append(processes)
        return CheckedReport([], None)

    monkeypatch.setattr(gptexp.report.build, "build_report", build_report)
    monkeypatch.setattr(gptexp.report.check, "check_report", check_report)
    assert call("report", "--check").status == 0
    planned = plan_tiny_runs(tiny_corpus, tiny_runs.folder)
    results = {item.run.run_id: None for item in planned}
    sum_up(planned, results, tiny_runs.folder, with_summary=False, with_report=True)
    assert len(given) == 2
    assert ALONE not in given


def test_summary_and_page_come_from_one_reading(
    tiny_runs: TinyRuns,
    tiny_corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After its runs a command reads the records once, for what it prints and for the page."""
    monkeypatch.chdir(tmp_path)
    planned = plan_tiny_runs(tiny_corpus, tiny_runs.folder)
    readings: list[Path] = []
    read = frames.read_run_folders

    def count(runs_dir: Path, run_ids: Collection[str] | None = None) -> Any:
        readings.append(runs_dir)
        return read(runs_dir, run_ids)

    monkeypatch.setattr(frames, "read_run_folders", count)
    results = {item.run.run_id: None for item in planned}
    sum_up(planned, results, tiny_runs.folder, with_summary=True, with_report=True)
    assert readings == [tiny_runs.folder]
    out = capsys.readouterr().out
    assert "What this study cannot show (tiny)" in out
    assert "The page: reports/out/study/index.html" in out


def test_a_page_is_not_written_among_the_runs(
    call: Call, tmp_path: Path, asked: list[tuple[str | None, dict[str, Any]]]
) -> None:
    """Neither into the folder of runs nor below it, through no link, nor published over the page itself."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "link").symlink_to("runs")
    for option, place in (("--out", "runs"), ("--publish", "runs/page"), ("--publish", "link/page")):
        reply = call("report", option, place)
        assert reply.status == 2
        assert f"{place} lies in the folder of runs runs; choose another folder with {option}" in reply.sentences()[0]
    assert call("report", "--publish", "reports/out/study").status == 2
    assert asked == []
