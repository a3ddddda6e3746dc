"""A study that is killed in the middle: what was done stays done, and the page is that of an undisturbed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from gptexp.report.build import build_report
from tests.studies.tiny import SMALLEST, read_untimed

SHAPE = {**SMALLEST, "max_steps": 400, "eval_interval": 50, "checkpoint_interval": 20}
TIMES = {"time", "tokens_per_sec", "tokens per second", "peak memory", "time per run", "duration_s", "peak_memory_mib"}


def start_study(runs_dir: Path, corpus: Path) -> subprocess.Popen[str]:
    settings = [text for key, value in SHAPE.items() for text in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "gptexp", "run", "lr-ablation", "--scale", "quick", "--jobs", "1", *settings]
    options = ["--corpus", str(corpus), "--runs-dir", str(runs_dir), "--wandb", "disabled", "--no-report"]
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def count_steps(run_dir: Path) -> int:
    log = run_dir / "records.jsonl"
    return log.read_text().count('"kind": "step"') if log.exists() else 0


def wait_until_in_second_arm(runs_dir: Path) -> tuple[Path, Path]:
    """The first arm's directory (done) and the second's (some 100 steps in)."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        run_dirs = [path for path in runs_dir.glob("*") if (path / "records.jsonl").exists()]
        done = [path for path in run_dirs if (path / "result.json").exists()]
        working = [path for path in run_dirs if path not in done and count_steps(path) > 100]
        if len(done) == 1 and working:
            return done[0], working[0]
        time.sleep(0.01)
    raise AssertionError("the study never reached its second arm")


def read_tables(page: Path) -> dict[str, pd.DataFrame]:
    """Every CSV of a bundle without the columns that hold times."""
    tables = {}
    for path in sorted([*page.parent.glob("figures/*.csv"), *page.parent.glob("tables/*.csv")]):
        table = pd.read_csv(path)
        tables[path.name] = table[[name for name in table if not any(word in str(name) for word in TIMES)]]
    return tables


@pytest.mark.slow
def test_killed_in_the_second_arm(tmp_path: Path, tiny_corpus: Path) -> None:
    """SIGKILL in the second arm, then the same command: arm one untouched, arm two from its checkpoint, same page."""
    calm, storm = tmp_path / "calm", tmp_path / "storm"
    assert start_study(calm, tiny_corpus).wait(timeout=200) == 0
    process = start_study(storm, tiny_corpus)
    first, second = wait_until_in_second_arm(storm)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert count_steps(second) < SHAPE["max_steps"]
    untouched = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    assert start_study(storm, tiny_corpus).wait(timeout=200) == 0
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched
    starts = [json.loads(line)["from_step"] for line in (second / "provenance.jsonl").read_text().splitlines()]
    assert starts[0] == 0
    assert starts[1] >= 80
    for run_dir in calm.iterdir():
        if run_dir.is_dir():
            assert read_untimed(storm / run_dir.name) == read_untimed(run_dir)
    pages = [build_report(None, runs_dir=folder, out=tmp_path / f"{folder.name}-page") for folder in (calm, storm)]
    expected, found = (read_tables(report.page) for report in pages)
    assert expected.keys() == found.keys()
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, obj=name)
