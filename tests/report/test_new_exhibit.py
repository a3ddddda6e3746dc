"""What it takes to show something new."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from gptexp.report.build import build_report
from gptexp.report.exhibits import EXHIBITS, of_study
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns
from tests.report.synthetic import lr_ablation, write_runs

REPORT = """
from gptexp.report.declare import Chapter, Exhibit, Report

REPORT = Report("mine", "Mine", (Chapter("only", "The only chapter", (Exhibit("seeds", "lr-ablation"),)),))
"""


def count_seeds(study: StudyRuns) -> Table:
    rows = tuple(
        (Cell(arm.label, arm=arm.index), Cell(f"{len(arm.runs)} {{seeds}}", detail="each")) for arm in study.arms
    )
    data = pd.DataFrame({"arm": [arm.name for arm in study.arms]})
    columns = (Column("arm", numeric=False), Column("runs", "how many"))
    return Table("", "How many seeds", "Counted.", columns, rows, data, tuple(study.run_ids))


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report file of one chapter with a kind that is registered in one line."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "mine.py").write_text(REPORT)
    monkeypatch.chdir(tmp_path)
    write_runs(tmp_path / "runs", lr_ablation(max_steps=20))
    monkeypatch.setitem(EXHIBITS, "seeds", of_study(count_seeds))
    build_report("mine", runs_dir=tmp_path / "runs", out=tmp_path / "out")
    return tmp_path / "out"


def test_a_new_kind_needs_a_function_and_a_line(out: Path) -> None:
    """The page of one declared chapter shows it, its files are there, and the manifest knows its runs."""
    page = (out / "index.html").read_text()
    assert '<section id="only"' in page
    assert 'id="lr-ablation-seeds" data-instance="lr-ablation@quick"' in page
    lines = {line["path"]: line for line in json.loads((out / "manifest.json").read_text())["files"]}
    for kind in ("html", "csv", "json", "md"):
        line = lines[f"tables/lr-ablation-seeds.{kind}"]
        assert (line["title"], len(line["run_ids"])) == ("How many seeds", 4)
        assert (out / line["path"]).is_file()


def test_a_pasted_table_is_the_pages_table(out: Path) -> None:
    """Heads, rows, intervals and the arms' colours are the page's own; MDX reads it: no style, no bare brace."""
    page, fragment = (out / "index.html").read_text(), (out / "tables" / "lr-ablation-seeds.html").read_text()
    parts = [re.search(r"<thead>.*?</tbody>", text, re.DOTALL) for text in (page, fragment)]
    shown, pasted = (part[0] for part in parts if part)
    assert pasted == shown.replace("{", "&#123;").replace("}", "&#125;")
    assert "1 {seeds} <small>each</small>" in shown
    assert 'stroke="var(--gx-arm0)"' in pasted
    assert not re.search(r"[{}]|style=", fragment)
    rules = (out / "pieces.css").read_text()
    assert all(f".{name}" in rules for name in ("gx-table", "number", "swatch"))
