"""Large studies: what they take grows with the number of runs, and a dying cluster loses what it may."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gptexp.runs.folders import read_run_folders
from gptexp.studies.plan import plan_runs
from tests.scale.simulated import SimulatedCluster, carry_out, make_request
from tests.studies.tiny import TINY, write_corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.txt"
    write_corpus(path)
    return path


def test_planning_grows_linearly(tmp_path: Path, corpus: Path) -> None:
    """Eight times the runs take about eight times the processor's time, and no run more than a few milliseconds."""
    plan_runs([make_request(20, corpus)], tmp_path / "runs")
    seconds = {}
    for n_runs in (200, 1600):
        before = time.process_time()
        assert len(plan_runs([make_request(n_runs, corpus)], tmp_path / "runs")) == n_runs
        seconds[n_runs] = time.process_time() - before
    assert seconds[1600] < 16 * seconds[200]
    assert seconds[1600] / 1600 < 0.01


def test_a_dying_cluster_carries_out_everything(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes die at random: every run ends once, and a death costs less than a checkpoint interval."""
    # How long the disk takes to keep its promises is no matter of this test.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    planned = plan_runs([make_request(200, corpus)], tmp_path / "runs")
    cluster = SimulatedCluster(n_nodes=10, mean_life_s=10.0)
    before = time.process_time()
    results = carry_out(planned, cluster)
    assert (time.process_time() - before) / 200 < 0.05
    assert len(results) == 200
    assert all(result.outcome == "completed" for result in results.values())
    assert cluster.deaths > 20
    assert cluster.longest_loss < TINY["checkpoint_interval"]
    folders, damaged = read_run_folders(tmp_path / "runs")
    assert (len(folders), damaged) == (200, [])
