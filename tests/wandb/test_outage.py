"""The server goes away in the middle of a run: training goes on, records are whole, and what W&B lacks comes later."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, field
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


SCHEDULE = Path("/proc/self/schedstat")
"""Where Linux counts for how long a thread ran, and for how long it was ready without a core."""


def find_worker(process: subprocess.Popen[str]) -> int:
    """The child of a command that has computed most: the one that trains."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return max(map(int, children), key=lambda child: sum(read_schedule(child)))


def read_schedule(process_id: int) -> tuple[float, float]:
    """Seconds in which a process's main thread ran, and in which it was ready and had no core.

    Source: sched-stats.rst of Linux, "/proc/<pid>/schedstat".
    """
    ran, waited = Path(f"/proc/{process_id}/task/{process_id}/schedstat").read_text().split()[:2]
    return int(ran) / 1e9, int(waited) / 1e9


@dataclass
class Window:
    """What a run did while the server answered, or while it didn't."""

    step_times: list[float] = field(default_factory=list)
    ran_s: float = 0.0
    blocked_s: float = 0.0
    """In which the training thread waited for something else than a core."""

    @property
    def per_step(self) -> tuple[float, float]:
        return self.ran_s / len(self.step_times), self.blocked_s / len(self.step_times)


class Segments:
    """A run by what the server did meanwhile."""

    def __init__(self, run_dir: Path, worker: int) -> None:
        self._log, self._worker = run_dir / "records.jsonl", worker
        self.windows = {"answering": Window(), "silent": Window()}
        self.begin()

    def begin(self) -> None:
        self._n_lines = len(self._read())
        self._at = time.monotonic(), *read_schedule(self._worker)

    def _read(self) -> list[bytes]:
        return self._log.read_bytes().split(b"\n")[:-1]

    def end(self, name: str) -> None:
        """Put what happened since `begin` under `name`."""
        window, (began, ran_before, waited_before) = self.windows[name], self._at
        (ran, waited), now = read_schedule(self._worker), time.monotonic()
        records = [json.loads(line) for line in self._read()[self._n_lines :]]
        window.step_times += [record["step_time_s"] for record in records if record["kind"] == "step"]
        window.ran_s += ran - ran_before
        window.blocked_s += (now - began) - (ran - ran_before) - (waited - waited_before)

    def growth(self) -> float:
        """By how much of a step the training thread is blocked longer while the server is silent.

        Other programs take its core, in one window more than in another; that is not counted.
        """
        (ran, blocked), (_, silent) = self.windows["answering"].per_step, self.windows["silent"].per_step
        return (silent - blocked) / (ran + blocked)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(not SCHEDULE.exists(), reason="needs Linux's count of waiting threads")
def test_training_does_not_wait_for_a_server_that_is_gone(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silent for 30 s, and later for good: steps grow by less than 5%, the end comes soon, the rest can be sent."""
    command = train_command(tmp_path / "runs", tiny_corpus, max_steps=STEPS, eval_interval=STEPS, threads=1, **SHAPE)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    run_dir = wait_for_steps(tmp_path / "runs", 200)
    segments = Segments(run_dir, find_worker(process))
    for name, change, seconds in (
        ("answering", wandb_server.answer_again, 8),
        ("silent", wandb_server.stop_answering, 30),
        ("answering", wandb_server.answer_again, 8),
        ("silent", wandb_server.stop_answering, 8),
    ):
        change()
        time.sleep(1)
        segments.begin()
        time.sleep(seconds)
        segments.end(name)
    process.send_signal(2)
    stopped = time.monotonic()
    output, _ = process.communicate(timeout=90)
    waited = time.monotonic() - stopped
    growth = segments.growth()
    with capsys.disabled():
        counts = {name: len(window.step_times) for name, window in segments.windows.items()}
        print(f"\nsteps {counts}: {growth:+.1%} without an answer; the end came {waited:.1f} s after Ctrl-C")
    assert process.returncode == 130, output
    assert f"gptexp runs sync {run_dir.name}" in output
    assert waited < 20
    assert growth < 0.05
    assert max(segments.windows["silent"].step_times) < LONGEST_STEP_S
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
