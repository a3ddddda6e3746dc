"""The server goes away in the middle of a run: training goes on, records are whole, and what W&B lacks comes later."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_kills import wait_for_steps
from tests.loopback.server import LoopbackServer
from tests.wandb.runs import SHAPE as RUN_SHAPE
from tests.wandb.runs import assert_complete, send, sync, train_command

SHAPE: dict[str, Any] = {"n_embd": 64, "n_layer": 4, "n_head": 4, "block_size": 64, "batch_size": 8}
STEPS = 100_000
"""More than are ever done: the run is stopped when enough was seen."""

LONGEST_STEP_S = 10
"""Steps take milliseconds; the client waits for an answer for longer than this."""


class Segments:
    """The steps of a run by what the server did meanwhile."""

    def __init__(self, run_dir: Path) -> None:
        self._log = run_dir / "records.jsonl"
        self._from = self._count()
        self.times: dict[str, list[float]] = {"answering": [], "silent": []}

    def _count(self) -> int:
        return self._log.read_bytes().count(b"\n")

    def add(self, name: str) -> None:
        """Put what was recorded since the last call under `name`, but for the first of it, where the change fell."""
        lines = self._log.read_bytes().split(b"\n")[:-1]
        records = [json.loads(line) for line in lines[self._from :]]
        times = [record["step_time_s"] for record in records if record["kind"] == "step"]
        self.times[name] += times[len(times) // 10 :]
        self._from = len(lines)

    def growth(self) -> float:
        """How much longer a step takes while the server is silent, by the means of the fastest tenth: other programs
        slow down the rest, in one window more than in another. What waits at each step is slow in its fastest too.
        """
        means = {name: statistics.mean(sorted(times)[: len(times) // 10]) for name, times in self.times.items()}
        return means["silent"] / means["answering"] - 1


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_training_does_not_wait_for_a_server_that_is_gone(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silent for 30 s, and later for good: steps grow by less than 5%, the end comes soon, the rest can be sent."""
    command = train_command(tmp_path / "runs", tiny_corpus, max_steps=STEPS, eval_interval=STEPS, **SHAPE)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    run_dir = wait_for_steps(tmp_path / "runs", 200)
    time.sleep(5)
    segments = Segments(run_dir)

    def watch(name: str, seconds: float) -> None:
        time.sleep(seconds)
        segments.add(name)

    # Other programs slow down one window or another: on a busy machine it takes more of them to tell.
    for round_ in range(6):
        wandb_server.answer_again()
        watch("answering", 8)
        wandb_server.stop_answering()
        watch("silent", 30 if round_ == 0 else 8)
        if round_ > 0 and segments.growth() < 0.05:
            break
    process.send_signal(2)
    stopped = time.monotonic()
    output, _ = process.communicate(timeout=90)
    waited = time.monotonic() - stopped
    growth = segments.growth()
    with capsys.disabled():
        counts = {name: len(times) for name, times in segments.times.items()}
        print(f"\nsteps {counts}: {growth:+.1%} without an answer; the end came {waited:.1f} s after Ctrl-C")
    assert process.returncode == 130, output
    assert f"gptexp runs sync {run_dir.name}" in output
    assert waited < 20
    assert growth < 0.05
    assert max(segments.times["silent"]) < LONGEST_STEP_S
    (run,) = wandb_server.store.runs.values()
    wandb_server.answer_again()
    assert 0 < len(run.rows) < len((run_dir / "records.jsonl").read_text().splitlines())
    send(tmp_path / "runs", run_dir.name)
    assert_complete(run, run_dir)
    assert run.summary["outcome"] == "interrupted"


def test_a_server_that_stays_away_until_the_end(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path
) -> None:
    """Gone in the middle of a run that completes: its record is whole, and W&B gets the rest once, and only once."""
    command = train_command(tmp_path / "runs", tiny_corpus, max_steps=1200, eval_interval=300)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    run_dir = wait_for_steps(tmp_path / "runs", 300)
    wandb_server.stop_answering()
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    assert f"gptexp runs sync {run_dir.name}" in output
    (run,) = wandb_server.store.runs.values()
    wandb_server.answer_again()
    send(tmp_path / "runs")
    assert_complete(run, run_dir)
    assert "0 of 1 runs sent" in send(tmp_path / "runs")
    calls = len(wandb_server.store.calls)
    sync(*(run_dir / "wandb").glob("*run-2*"))
    assert len(wandb_server.store.calls) == calls
    assert (run.state, run.summary["outcome"]) == ("finished", "completed")


def test_a_study_goes_on_without_a_server(wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path) -> None:
    """One worker: the server is gone for good during the first run; the others are mirrored offline."""
    runs_dir = tmp_path / "runs"
    changes = {**RUN_SHAPE, "max_steps": 400, "eval_interval": 100}
    settings = [text for key, value in changes.items() for text in ("--set", f"{key}={value}")]
    options = ["--corpus", str(tiny_corpus), "--runs-dir", str(runs_dir), "--no-report", "--jobs", "1"]
    command = [*train_command(runs_dir, tiny_corpus)[:3], "run", "clipping", "--scale", "quick", *settings, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for_steps(runs_dir, 100)
    wandb_server.stop_answering()
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    assert "out of reach" in output
    wandb_server.answer_again()
    run_dirs = [path for path in runs_dir.iterdir() if path.is_dir()]
    assert len(run_dirs) > 1
    offline = [part for run_dir in run_dirs for part in (run_dir / "wandb").glob("offline-run-*")]
    assert offline
    sync(*offline)
    # The first run was online already, where the machine was quick.
    for begun in {path.name for path in run_dirs} - {part.name.rpartition("-")[2] for part in offline}:
        send(runs_dir, begun)
    for run_dir in run_dirs:
        assert_complete(wandb_server.store.run(run_dir.name), run_dir)
