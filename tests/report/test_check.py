"""A published report is checked against the records that it claims to come from."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from gptexp.errors import GptexpError
from gptexp.report.build import build_report
from gptexp.report.check import check_report
from tests.report.lesson_runs import untrained
from tests.report.synthetic import Run, write_runs


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    write_runs(tmp_path / "runs", untrained(1))
    return tmp_path / "runs"


@pytest.fixture
def out(runs_dir: Path, tmp_path: Path) -> Path:
    return build_report("lesson", runs_dir=runs_dir, out=tmp_path / "out").page.parent


def test_an_untouched_report_follows(runs_dir: Path, out: Path) -> None:
    """Nothing to say about a report that was just made; a note beside it is nobody's business."""
    (out / "note.txt").write_text("mine")
    assert check_report("lesson", runs_dir=runs_dir, out=out).problems == []


def test_an_edited_number_is_found(runs_dir: Path, out: Path) -> None:
    """A file that was changed by hand is named, and so is one that is gone."""
    claims = out / "claims.json"
    claims.write_text(claims.read_text().replace('"value": 10.', '"value": 9.'))
    (out / "PASTING.md").unlink()
    problems = check_report("lesson", runs_dir=runs_dir, out=out).problems
    assert "claims.json was changed after it was published" in problems
    assert "PASTING.md is gone" in problems


@pytest.mark.timeout(60)
def test_nothing_outside_is_read(runs_dir: Path, out: Path) -> None:
    """A stranger's manifest that names devices, pipes, links or files outside gets a sentence for each, unread."""
    (out.parent / "victim").write_text("mine")
    os.mkfifo(out / "pipe")
    (out / "link").symlink_to("/proc/self/environ")
    named = ["/dev/zero", "/etc/shadow", "../victim", str(out.parent / "victim"), "pipe", "link", "a\0b", "figures", ""]
    manifest = json.loads((out / "manifest.json").read_text())
    digest = hashlib.sha256(b"mine").hexdigest()
    manifest["files"] += [{"path": path, "sha256": digest} for path in named]
    (out / "manifest.json").write_text(json.dumps(manifest))
    problems = check_report("lesson", runs_dir=runs_dir, out=out).problems
    refused = [problem for problem in problems if "can't be read: it " in problem]
    assert len(refused) == len(named), problems


def test_changed_records_are_found(runs_dir: Path, out: Path) -> None:
    """Where a record says something else today, the files that show it are named."""
    result = runs_dir / untrained(1)[0].run_id / "result.json"
    fields = json.loads(result.read_text())
    result.write_text(json.dumps({**fields, "initial_val_loss": fields["initial_val_loss"] + 0.01}))
    problems = check_report("lesson", runs_dir=runs_dir, out=out).problems
    assert "index.html would be another from today's records" in problems
    assert "claims.json would be another from today's records" in problems


def test_another_version_of_a_drawing_package_is_named(runs_dir: Path, out: Path) -> None:
    """Differences that a package may have made come with the two versions."""
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({**manifest, "matplotlib": "0.1"}))
    problems = check_report("lesson", runs_dir=runs_dir, out=out).problems
    assert problems[0].startswith("it was made with matplotlib 0.1, and this is matplotlib ")


def test_the_selection_is_remembered(tmp_path: Path, runs_dir: Path) -> None:
    """A report over one scale is checked over that scale, whatever else was run since."""
    out = build_report("lesson", runs_dir=runs_dir, out=tmp_path / "quick", scales=["quick"]).page.parent
    write_runs(runs_dir, [Run("gpt2-init", "GPT-2 init", 1, {"max_steps": 0}, 3.1, study="initial-loss", scale="char")])
    assert check_report("lesson", runs_dir=runs_dir, out=out).problems == []


def test_what_is_no_report_is_one_sentence(tmp_path: Path, runs_dir: Path, out: Path) -> None:
    """A folder without a report, or with another, can't be checked."""
    with pytest.raises(GptexpError, match="holds no published report to check"):
        check_report("lesson", runs_dir=runs_dir, out=tmp_path)
    with pytest.raises(GptexpError, match="holds the report 'lesson', not 'study'"):
        check_report("study", runs_dir=runs_dir, out=out)
