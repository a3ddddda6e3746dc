"""`--tracker` and `--launcher` of the commands that train."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boards import install_boards
from tests.cli.conftest import Call


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where another package with trackers is installed."""
    install_boards(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_a_tracker_of_another_package(boards: Path, tmp_path: Path, tiny_corpus: Path) -> None:
    """It hears of a run that a worker process trains, and is imported only where it was asked for."""
    words = ["max_steps=2", "n_layer=1", "n_embd=16", "n_head=1", "block_size=8", "eval_steps=1", "sample_tokens=2"]
    places = ["--corpus", str(tiny_corpus), "--runs-dir", str(tmp_path / "runs")]
    command = [sys.executable, "-m", "gptexp", "train", *words, *places, "--tracker", "board"]
    path = os.pathsep.join([str(boards), str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").glob("*/result.json")
    assert f"told of {run.parent.name}" in done.stdout
    assert "ended completed" in done.stdout
    assert not (run.parent / "wandb").exists()


@pytest.mark.parametrize("command", [["run", "lr-ablation"], ["train"], ["sweep", "sweep.yaml", "--trials", "1"]])
def test_a_name_that_will_not_do(call: Call, command: list[str], tmp_path: Path) -> None:
    """run, train and sweep: one sentence, exit status 2, and nothing is written."""
    for asked, sentence in [
        (["--tracker", "wandbb"], "there is no tracker 'wandbb'; did you mean wandb?"),
        (["--launcher", "slurn"], "there is no launcher 'slurn'; did you mean slurm?"),
        (["--address", "head:6379"], "--address is no setting of --launcher local; leave it out, or name the launcher"),
        (
            ["--tracker", "trackio", "--wandb", "offline"],
            "--wandb offline is a setting of W&B, which is not among the trackers; add --tracker wandb",
        ),
    ]:
        if command == ["train"] and asked[0] in ("--launcher", "--address"):
            continue
        done = call(*command, "--runs-dir", str(tmp_path / "runs"), *asked, "--corpus", "python-docs")
        assert done.status == 2
        assert sentence in " ".join(done.err.split())
    assert not (tmp_path / "runs").exists()
