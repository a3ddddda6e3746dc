"""`wandb sweep` and `wandb agent`, the real programs, over a grid of tiny trials."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.test_kills import wait_for_group_to_end
from tests.loopback.server import LoopbackServer
from tests.loopback.store import Store, StoredSweep, StoredTrial
from tests.loopback.sweeps import abandon
from tests.wandb.runs import SHAPE, assert_complete, train_command, wait_until

PARAMETERS: dict[str, Any] = {
    **{name: {"value": value} for name, value in SHAPE.items() if name != "n_layer"},
    "model": {"parameters": {"n_layer": {"value": 1}}},
    "scale": {"value": "quick"},
    "max_steps": {"value": 800},
    "checkpoint_interval": {"value": 40},
    "lr": {"values": [3.0e-4, 1.0e-3, 3.0e-3]},
    "grad_clip": {"values": [1.0, None]},
}


def create_sweep(folder: Path, corpus: Path, macro: str, **changes: Any) -> str:
    """`wandb sweep` of the tiny grid; returns what `wandb agent` is called with."""
    program = [sys.executable, "-m", "gptexp", "train", macro]
    places = ["--corpus", str(corpus), "--runs-dir", str(folder / "runs")]
    content = {
        "project": "gptexp",
        "method": "grid",
        "metric": {"name": "val_loss", "goal": "minimize"},
        "parameters": {**PARAMETERS, **changes},
        "command": [*program, *places],
    }
    file = folder / "tiny-sweep.yaml"
    file.write_text(yaml.safe_dump(content))
    done = subprocess.run([sys.executable, "-m", "wandb", "sweep", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.search(r"wandb agent (\S+)", done.stdout + done.stderr)
    assert found, done.stderr
    return found.group(1)


StartAgent = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[StartAgent]:
    """Starts `wandb agent SWEEP`; those that are still there at the end of the test are ended."""
    agents: list[subprocess.Popen[str]] = []

    def start(sweep: str) -> subprocess.Popen[str]:
        log = (tmp_path / f"agent-{len(agents)}.log").open("w")
        command = [sys.executable, "-m", "wandb", "agent", sweep]
        agents.append(subprocess.Popen(command, stdout=log, stderr=log, text=True, cwd=tmp_path))
        return agents[-1]

    yield start
    for agent in agents:
        agent.kill()


def find_trial(agent: subprocess.Popen[str]) -> int | None:
    """The process id of the trial that an agent runs; it leads its own group."""
    children = Path(f"/proc/{agent.pid}/task").glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    for pid in pids:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"gptexp" in words and b"train" in words:
            return pid
    return None


def trial_of(sweep: StoredSweep, pid: int) -> StoredTrial:
    """The trial that a process works on."""
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    (run_id,) = [word.partition(b"=")[2].decode() for word in words if word.startswith(b"WANDB_RUN_ID=")]
    (found,) = [trial for trial in sweep.trials if trial.run_id == run_id]
    return found


def steps_of(trial: StoredTrial, folder: Path) -> int:
    """Steps that a trial has recorded."""
    lr, clip = (trial.args[name]["value"] for name in ("lr", "grad_clip"))
    for log in (folder / "runs").glob("*/records.jsonl"):
        config = json.loads((log.parent / "config.json").read_text())["config"]
        if (config["lr"], config["grad_clip"]) == (lr, clip):
            return log.read_text().count('"kind": "step"')
    return 0


def wait_for_trial(store: Store, agent: subprocess.Popen[str], folder: Path) -> tuple[int, StoredTrial]:
    """Until a trial of that agent is in the middle and the server has heard of it; its process and itself."""
    (sweep,) = store.sweeps.values()

    def look() -> tuple[int, StoredTrial] | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            if pid := find_trial(agent):
                trial = trial_of(sweep, pid)
                known = any(run.name == trial.run_id and run.preempting for run in list(store.runs.values()))
                if known and 60 < steps_of(trial, folder) < 700:
                    return pid, trial
        return None

    found: tuple[int, StoredTrial] = wait_until(look)
    return found


@pytest.mark.slow
@pytest.mark.timeout(580)
def test_two_agents_work_through_a_grid(
    wandb_server: LoopbackServer, start_agent: StartAgent, tmp_path: Path, tiny_corpus: Path
) -> None:
    """6 trials, two agents; one agent ends by SIGTERM, one trial by SIGKILL: each point has one complete history."""
    store = wandb_server.store
    sweep_path = create_sweep(tmp_path, tiny_corpus, "${args}")
    (sweep,) = store.sweeps.values()
    assert len(sweep.waiting) == 6
    first, second = start_agent(sweep_path), start_agent(sweep_path)

    orphan, trial = wait_for_trial(store, first, tmp_path)
    first.terminate()
    first.wait(timeout=20)
    assert wait_for_group_to_end(orphan, timeout_s=60), "the agent left its trial behind"
    with store.lock:
        abandon(store, trial.agent)
    third = start_agent(sweep_path)

    victim, _ = wait_for_trial(store, second, tmp_path)
    os.killpg(victim, signal.SIGKILL)
    second.wait(timeout=400)
    third.wait(timeout=200)
    # What was preempted when the others left already.
    start_agent(sweep_path).wait(timeout=200)

    assert [trial.state for trial in sweep.trials] == ["finished"] * 6
    points = set()
    for trial in sweep.trials:
        run = store.run(trial.run_id)
        about = run.settings()["gptexp"]
        assert_complete(run, tmp_path / "runs" / about["run_id"])
        assert run.summary["outcome"] == "completed"
        points.add((run.settings()["lr"], run.settings()["grad_clip"]))
    assert len(points) == len(list((tmp_path / "runs").glob("*/result.json"))) == 6
    assert sorted(store.run(trial.run_id).starts for trial in sweep.trials) == [1] * 4 + [2] * 2


@pytest.mark.slow
def test_a_trial_that_a_person_ran_is_answered_from_its_record(
    wandb_server: LoopbackServer, start_agent: StartAgent, tmp_path: Path, tiny_corpus: Path
) -> None:
    """`gptexp train` first: the trial of the same config has the whole history in W&B, and nothing is trained."""
    fields = {"max_steps": 800, "checkpoint_interval": 40, "lr": 1e-3, "grad_clip": None}
    command = train_command(tmp_path / "runs", tiny_corpus, **fields)
    subprocess.run(command, check=True, timeout=100, stdout=subprocess.DEVNULL)
    (run_dir,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    before = (run_dir / "provenance.jsonl").read_text()
    changes = {"lr": {"value": 1e-3}, "grad_clip": {"value": None}}
    sweep_path = create_sweep(tmp_path, tiny_corpus, "${args_json_file}", **changes)
    start_agent(sweep_path).wait(timeout=200)
    (sweep,) = wandb_server.store.sweeps.values()
    (trial,) = sweep.trials
    assert trial.state == "finished"
    assert_complete(wandb_server.store.run(trial.run_id), run_dir)
    assert wandb_server.store.run(trial.run_id).sweep == sweep.name
    assert (run_dir / "provenance.jsonl").read_text() == before
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()] == [run_dir.name]


@pytest.mark.slow
def test_a_trial_that_the_sweep_stops_stays_stopped(
    wandb_server: LoopbackServer, start_agent: StartAgent, tmp_path: Path, tiny_corpus: Path
) -> None:
    """Early termination: a checkpoint, a W&B run that ended well, and no agent gets the trial again."""
    changes = {"lr": {"value": 1e-3}, "grad_clip": {"value": None}, "max_steps": {"value": 200000}}
    sweep_path = create_sweep(tmp_path, tiny_corpus, "${args}", **changes)
    (sweep,) = wandb_server.store.sweeps.values()
    agent = start_agent(sweep_path)
    wait_until(lambda: wandb_server.store.runs and steps_of(sweep.trials[0], tmp_path) > 60)
    with wandb_server.store.lock:
        (trial,) = sweep.trials
        wandb_server.store.run(trial.run_id).stop_requested = True
        sweep.stop_requests.add(trial.run_id)
    agent.wait(timeout=100)
    run = wandb_server.store.run(trial.run_id)
    assert (trial.state, run.exit_code, run.starts) == ("finished", 0, 1)
    assert run.summary["outcome"] == "interrupted"
    (result,) = (tmp_path / "runs").glob("*/result.json")
    assert json.loads(result.read_text())["outcome"] == "interrupted"
