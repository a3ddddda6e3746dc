"""The first lines of the README's W&B part, as a new user follows them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback.server import LoopbackServer

ROOT = Path(__file__).parents[2]


def read_commands() -> list[str]:
    """The commands of the first block, without their comments."""
    part = (ROOT / "README.md").read_text(encoding="utf-8").split("## Weights & Biases")[1]
    block = part.split("```sh\n")[1].split("```")[0]
    return [line.partition("#")[0].strip() for line in block.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_first_lines_work(wandb_server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line as it stands there; only the key is typed in, and the agent stops after one trial of 20 steps."""
    key = os.environ["WANDB_API_KEY"]
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    text = (ROOT / "sweep.yaml").read_text().replace("parameters:\n", "parameters:\n  max_steps: {value: 20}\n")
    (tmp_path / "sweep.yaml").write_text(text)
    outputs: dict[str, str] = {}
    for line in read_commands():
        words = line.split()
        if words[:2] == ["wandb", "login"]:
            words.append(key)
        if words[:2] == ["wandb", "agent"]:
            (sweep,) = re.findall(r"wandb agent (\S+)", outputs["wandb sweep sweep.yaml"])
            assert re.fullmatch(line.replace("ENTITY", r"\w+").replace("SWEEP", r"\w+"), f"wandb agent {sweep}")
            words = ["wandb", "agent", "--count", "1", sweep]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=400)
        outputs[line] = done.stdout + done.stderr
        assert done.returncode == 0, outputs[line]
        assert "Traceback" not in outputs[line]
    assert "0 of 9 runs sent" in outputs["gptexp runs sync"]
    states = {run.name: (run.state, run.job_type) for run in wandb_server.store.runs.values()}
    assert [job for _, job in states.values()].count("report") == 1
    assert {state for state, _ in states.values()} == {"finished"}
    (sweep_entry,) = wandb_server.store.sweeps.values()
    (trial,) = sweep_entry.trials
    assert wandb_server.store.run(trial.run_id).summary["outcome"] == "completed"
