"""Packed records are the records: what is made from them is what is made from the run folders."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from gptexp.analysis.frames import load_frames
from gptexp.analysis.packed import LOGS, write_packed
from gptexp.analysis.run_folders import read_run_folders
from gptexp.errors import GptexpError
from gptexp.records import SampleRecord
from gptexp.report.build import build_report
from tests.report.synthetic import initial_loss, lr_ablation, write_runs

SAMPLES = (SampleRecord(0, "initial", None, None, "\n", "\nNaN"), SampleRecord(9, "loss", 4.0, 3.9, "\n", "\x00½"))


def pack(runs_dir: Path, out: Path) -> None:
    frames = load_frames(runs_dir)
    folders, _ = read_run_folders(runs_dir)
    write_packed(out, folders, {name: getattr(frames, name) for name in LOGS}, {})


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Run folders with a diverged run, an unfinished one and samples."""
    runs = lr_ablation()
    runs[0].diverge_at = 50
    runs[1].stop_at = 70
    runs[2].samples = SAMPLES
    write_runs(tmp_path / "runs", [*runs, *initial_loss(2)])
    return tmp_path / "runs"


def test_frames_come_back_cell_for_cell(runs_dir: Path, tmp_path: Path) -> None:
    """Types, NaN, infinities, missing values and texts; also of a choice of runs."""
    pack(runs_dir, tmp_path / "packed")
    some = [path.name for path in sorted(runs_dir.iterdir())][:2]
    for run_ids in (None, some):
        local, read = load_frames(runs_dir, run_ids), load_frames(tmp_path / "packed", run_ids)
        for name in ("runs", "members", *LOGS, "damaged"):
            pd.testing.assert_frame_equal(getattr(read, name), getattr(local, name), check_exact=True, obj=name)


def test_the_same_records_give_the_same_bytes(runs_dir: Path, tmp_path: Path) -> None:
    """Packing twice, and over an older packing, is the same."""
    for name in ("one", "two", "two"):
        pack(runs_dir, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_no_path_of_the_machine_is_packed(tmp_path: Path) -> None:
    """Of a path in a command or a corpus the last part stays; a web address stays whole."""
    (run_id,) = write_runs(tmp_path / "runs", [initial_loss(1)[0]])
    folder = tmp_path / "runs" / run_id
    line = {"command": "gptexp run x --runs-dir /home/me/my-runs --corpus /data/a.txt", "note": "https://a.org/b/c"}
    (folder / "provenance.jsonl").write_text(json.dumps(line) + "\n")
    pack(tmp_path / "runs", tmp_path / "packed")
    text = (tmp_path / "packed" / "runs.json").read_text()
    assert "gptexp run x --runs-dir my-runs --corpus a.txt" in text
    assert "https://a.org/b/c" in text
    assert "/home" not in text


@pytest.mark.slow
def test_the_page_is_the_same(runs_dir: Path, tmp_path: Path) -> None:
    """Every file of the page agrees byte for byte."""
    pack(runs_dir, tmp_path / "packed")
    build_report(None, runs_dir=runs_dir, out=tmp_path / "local")
    build_report(None, runs_dir=tmp_path / "packed", out=tmp_path / "read")
    files = [path.relative_to(tmp_path / "local") for path in (tmp_path / "local").rglob("*.*")]
    assert len(files) > 10
    for path in files:
        assert (tmp_path / "read" / path).read_bytes() == (tmp_path / "local" / path).read_bytes(), path


@pytest.mark.parametrize("file", ["runs.json", "steps.parquet"])
def test_damage_is_named(runs_dir: Path, tmp_path: Path, file: str) -> None:
    """A file that was cut is one sentence that names the folder."""
    pack(runs_dir, tmp_path / "packed")
    path = tmp_path / "packed" / file
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(GptexpError, match=r"packed records in .* are damaged"):
        load_frames(tmp_path / "packed")
