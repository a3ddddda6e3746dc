"""Runs that are killed, stopped, or started twice end with the records of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.kill_storm import CONFIG
from tests.studies.tiny import read_untimed, run_tiny

KILLS = int(os.environ.get("GPTEXP_KILLS", "20"))
"""For each precision; LOG.md has what 50 showed."""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_kill_storm(tmp_path: Path, tiny_corpus: Path, precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILLs at random moments, also while resuming: the records are those of undisturbed runs."""
    command = [sys.executable, "-m", "tests.faults.kill_storm", str(tmp_path / "storm"), str(tiny_corpus), precision]
    done = subprocess.run([*command, str(KILLS)], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    survived = int(done.stdout)
    assert survived >= KILLS
    run_dirs = sorted((tmp_path / "storm").iterdir())
    for seed in range(len(run_dirs)):
        result, undisturbed = run_tiny(tmp_path / "calm", tiny_corpus, precision=precision, seed=seed, **CONFIG)
        assert read_untimed(tmp_path / "storm" / result.run_id) == undisturbed
    with capsys.disabled():
        print(f"\n{precision}: {survived} kills survived over {len(run_dirs)} runs")


def start_training(folder: Path, corpus: Path, *changes: str) -> subprocess.Popen[str]:
    """`gptexp train` of a run that would take minutes, in a process group of its own."""
    shape = ["n_layer=1", "n_head=2", "n_embd=16", "block_size=16", "batch_size=2", "eval_steps=1", "sample_tokens=3"]
    command = [sys.executable, "-m", "gptexp", "train", *shape, "tokenizer=char", "max_steps=200000", *changes]
    options = ["--scale", "quick", "--corpus", str(corpus), "--runs-dir", str(folder), "--wandb", "disabled"]
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_for_steps(folder: Path, steps: int, timeout_s: float = 60) -> Path:
    """Until some run under `folder` has recorded `steps` steps; returns its directory."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for log in folder.glob("*/records.jsonl"):
            if log.read_text().count('"kind": "step"') >= steps:
                return log.parent
        time.sleep(0.05)
    raise AssertionError("no run made progress")


def wait_for_group_to_end(group: int, timeout_s: float = 10) -> bool:
    """Whether all processes of a group are gone in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint(tmp_path: Path, tiny_corpus: Path, number: signal.Signals) -> None:
    """Ctrl-C (to the whole group) or SIGTERM: exit 130 within seconds, `interrupted`, a checkpoint of the last step."""
    process = start_training(tmp_path, tiny_corpus)
    run_dir = wait_for_steps(tmp_path, 20)
    started = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode == 130, output
    assert "Traceback" not in output
    result = json.loads((run_dir / "result.json").read_text())
    assert result["outcome"] == "interrupted"
    steps = [json.loads(line)["step"] for line in (run_dir / "records.jsonl").read_text().splitlines()]
    assert steps[-1] == result["last_step"]
    assert (run_dir / "checkpoints" / f"step-{steps[-1]:08d}" / "state.json").exists()


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, tiny_corpus: Path) -> None:
    """Whoever presses twice doesn't want to wait: exit 130 at once, no process left behind, records readable."""
    process = start_training(tmp_path, tiny_corpus, "sample_interval=1", "sample_tokens=200000")
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/records.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None, "the sample in progress holds the first Ctrl-C up"
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert wait_for_group_to_end(process.pid), "a process of the group lives on"


def test_two_commands_on_one_folder(tmp_path: Path, tiny_corpus: Path) -> None:
    """Two `gptexp run` at once: every run is executed exactly once, both end with all results."""
    shape = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 16, "batch_size": 2, "max_steps": 60}
    settings = [text for key, value in shape.items() for text in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "gptexp", "run", "lr-ablation", "--scale", "quick", *settings]
    options = ["--corpus", str(tiny_corpus), "--runs-dir", str(tmp_path), "--wandb", "disabled", "--no-report"]
    both = [
        subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    for process in both:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    run_dirs = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(run_dirs) == 4
    for run_dir in run_dirs:
        assert len((run_dir / "provenance.jsonl").read_text().splitlines()) == 1
        assert (run_dir / "records.jsonl").read_text().count('"kind": "step"') == 60


def test_a_dead_process_blocks_nobody(tmp_path: Path, tiny_corpus: Path) -> None:
    """SIGKILL to the whole group leaves a lock file that holds nothing: the next command goes on at once."""
    process = start_training(tmp_path, tiny_corpus, "checkpoint_interval=5")
    run_dir = wait_for_steps(tmp_path, 20)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (run_dir / "lock").exists()
    before = (run_dir / "records.jsonl").read_text().count('"kind": "step"')
    again = start_training(tmp_path, tiny_corpus, "checkpoint_interval=5")
    wait_for_steps(tmp_path, before + 20)
    os.killpg(again.pid, signal.SIGINT)
    again.communicate(timeout=30)
    first_steps = [json.loads(line)["from_step"] for line in (run_dir / "provenance.jsonl").read_text().splitlines()]
    assert first_steps[0] == 0
    assert first_steps[1] > 0


def find_workers(process: subprocess.Popen[str]) -> set[int]:
    """The workers of a running command."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return {int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def wait_for_another_worker(process: subprocess.Popen[str], dead: set[int], timeout_s: float = 60) -> set[int]:
    """The workers that took the place of dead ones."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := find_workers(process) - dead:
            return found
        time.sleep(0.05)
    raise AssertionError("no worker took the place of the dead one")


def test_a_killed_worker_fails_its_run_alone(tmp_path: Path, tiny_corpus: Path) -> None:
    """A worker that the system kills is replaced once, and its run goes on. Killed again: the run is `failed` with the
    reason, the exit status is 1, a retry goes on.
    """
    process = start_training(tmp_path, tiny_corpus, "checkpoint_interval=5")
    run_dir = wait_for_steps(tmp_path, 20)
    dead = find_workers(process)
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    for pid in wait_for_another_worker(process, dead):
        os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1, output
    assert "memory" in output
    result = json.loads((run_dir / "result.json").read_text())
    assert result["outcome"] == "failed"
    assert "signal 9" in result["outcome_detail"]
    steps = (run_dir / "records.jsonl").read_text().count('"kind": "step"')
    again = start_training(tmp_path, tiny_corpus, "checkpoint_interval=5")
    wait_for_steps(tmp_path, steps + 5)
    os.killpg(again.pid, signal.SIGKILL)
    again.wait()
