"""`--launcher ray`, on a cluster of two nodes on this machine: what a lost node costs, and what comes home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.launchers import JobEnd, Notice
from gptexp.studies.ray import _check_address
from gptexp.studies.runner import execute_job
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.verify import verify_run
from tests.studies.processes import await_none
from tests.studies.tiny import TINY, make_job, read_untimed, write_corpus

pytest.importorskip("ray", reason='needs Ray: pip install "gptexp[ray]"')
pytestmark = pytest.mark.slow

SHAPE: dict[str, Any] = {"max_steps": 60, "checkpoint_interval": 10, "block_size": 64}


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GPTEXP_TEST_MARK", str(tmp_path))
    return str(tmp_path)


def alone(job: Job, folder: Path) -> list[dict[str, Any]]:
    """The records of the same run that nobody carried anywhere."""
    here = Job(**{**job.__dict__, "run_dir": str(folder / job.run_id)})
    execute(here, [], lambda: False, lambda message: None)
    return read_untimed(Path(here.run_dir))


def test_a_lost_node_costs_at_most_a_checkpoint_interval(tmp_path: Path, mark: str) -> None:
    """A node is killed in the middle of its run: the run goes on at the other one, from the checkpoint that came home.
    All records are those of runs that nobody disturbed, and no process is left."""
    from ray.cluster_utils import Cluster

    from gptexp.studies.ray import RayLauncher

    corpus = tmp_path / "tiny.txt"
    write_corpus(corpus)
    jobs = [make_job(tmp_path / "runs", corpus, seed=seed, **SHAPE) for seed in (1, 2)]
    # A node that is gone is missed after seconds instead of half a minute.
    quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quick}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ends: list[JobEnd] = []
    steps = dict.fromkeys([job.run_id for job in jobs], 0)
    lost: dict[str, int] = {}
    is_killed = False
    for news in RayLauncher(2, address=cluster.address).launch(execute_job, jobs):
        run_id = news.job.run_id
        if isinstance(news, JobEnd):
            ends.append(news)
        elif isinstance(news.event, Notice):
            assert "its node was lost" in news.event.message
            lost[run_id] = steps[run_id]
        else:
            steps[run_id] = max(steps[run_id], news.event.step)
        if not is_killed and min(steps.values()) >= 12:
            cluster.remove_node(nodes[0], allow_graceful=False)
            is_killed = True
    cluster.shutdown()
    assert [end.error for end in ends] == [None, None]
    for job in jobs:
        assert read_untimed(Path(job.run_dir)) == alone(job, tmp_path / "alone")
        assert verify_run(RunDir(Path(job.run_dir))).word == "sound"
    assert lost
    for run_id, told in lost.items():
        lines = (tmp_path / "runs" / run_id / "provenance.jsonl").read_text().splitlines()
        again_from = max(json.loads(line)["from_step"] for line in lines)
        assert told - SHAPE["checkpoint_interval"] <= again_from <= told
    assert await_none(mark, "ray") == []


def test_ctrl_c_leaves_no_orphan(tmp_path: Path, mark: str) -> None:
    """The run comes home with a checkpoint of its last step, the others don't begin, and no process is left."""
    corpus = tmp_path / "tiny.txt"
    write_corpus(corpus)
    shape = {key: value for key, value in {**TINY, **SHAPE, "max_steps": 2000}.items() if key != "lr"}
    words = ["run", "lr-ablation", "--jobs", "1", "--launcher", "ray", "--no-report", "--corpus", str(corpus)]
    words += [word for key, value in shape.items() for word in ("--set", f"{key}={value}")]
    words += ["--scale", "quick", "--runs-dir", str(tmp_path / "runs"), "--wandb", "disabled"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, "-m", "gptexp", *words], cwd=tmp_path, env=environment)
    until = time.monotonic() + 300
    while not list((tmp_path / "runs").glob("*/records.jsonl")) and time.monotonic() < until:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    assert await_none(mark) in ([], [os.getpid()])
    (records,) = (tmp_path / "runs").glob("*/records.jsonl")
    folder = records.parent
    result = RunDir(folder).read_result()
    assert result is not None
    assert result.outcome == "interrupted"
    assert verify_run(RunDir(folder)).word == "sound"


def test_an_address_where_nobody_listens_is_one_sentence() -> None:
    """It is said at once: Ray itself would ask for minutes, and then end the process."""
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999"):
        with pytest.raises(GptexpError, match=f"the Ray cluster {address} can't be had"):
            _check_address(address)
