"""The quick list of runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from gptexp.runs.listing import list_runs
from tests.report.synthetic import Run, append_member, lr_ablation, write_run, write_runs


def test_one_dict_per_run_with_the_keys_that_scripts_use(tmp_path: Path) -> None:
    """Each run once, with study, arm, seed, scale, outcome and the final losses."""
    runs = lr_ablation()
    runs[0].stop_at = 30
    write_runs(tmp_path, runs)
    append_member(tmp_path / runs[3].run_id, Run("on", study="clipping", asked_at="2025-03-01T00:00:00Z"))
    listed = list_runs(tmp_path)
    assert len(listed) == 4
    for run in listed:
        assert {"run_id", "study", "arm", "seed", "scale", "outcome", "final_train_loss", "final_val_loss"} <= set(run)
        assert run["study"] == "lr-ablation"
    outcomes = {run["arm"]: run["outcome"] for run in listed}
    assert outcomes["constant-6e-4"] == "unfinished"
    assert outcomes["warmup-cosine"] == "completed"


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each run all files but the log are opened once, and the log at most for its size: lists of thousands count."""
    write_runs(tmp_path, lr_ablation())
    opened, really_open = Counter[str](), os.open

    def count(path: str, *args: int, **options: int) -> int:
        opened[os.fspath(path)] += 1
        return really_open(path, *args, **options)

    monkeypatch.setattr(os, "open", count)
    n_runs = len(list_runs(tmp_path))
    names = ("config.json", "members.jsonl", "provenance.jsonl", "result.json", "records.jsonl")
    assert {name: opened[name] for name in names} == dict.fromkeys(names, n_runs)


def test_a_study_can_be_asked_for(tmp_path: Path) -> None:
    """A run that serves two studies is listed under the one asked for, with all its memberships."""
    run = lr_ablation()[3]
    write_runs(tmp_path, lr_ablation())
    append_member(tmp_path / run.run_id, Run("on", study="clipping", asked_at="2025-03-01T00:00:00Z"))
    (only,) = list_runs(tmp_path, study="clipping")
    assert (only["run_id"], only["study"], only["arm"]) == (run.run_id, "clipping", "on")


def test_a_run_without_a_study_is_listed(tmp_path: Path) -> None:
    """What `gptexp train` made has no membership and is listed all the same."""
    run_id = write_run(tmp_path, Run("a", seed=9))
    (tmp_path / run_id / "members.jsonl").unlink()
    (run,) = list_runs(tmp_path)
    assert (run["study"], run["arm"], run["seed"]) == (None, None, 9)


def test_listing_imports_neither_pandas_nor_torch() -> None:
    """`gptexp runs list` answers at once because nothing heavy is imported for it."""
    code = "import sys, gptexp.runs.listing; print([m for m in ('pandas', 'torch', 'numpy') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
