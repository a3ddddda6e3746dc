"""Acceptance: a study that `gptexp run` mirrored with the real client, read back with the real client."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gptexp.runs.frames import Frames, load_frames
from tests.cli.conftest import Call
from tests.cli.conftest import call as call
from tests.loopback.server import LoopbackServer
from tests.wandb.runs import SHAPE, command
from tests.wandb_reading.project import assert_same_frames

STUDY = """
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="mirrored",
    question="Is the page from W&B the page from the folders?",
    hypothesis="It is.",
    source="",
    arms=(
        Arm("long", "5,000 steps", {"max_steps": 5000, "sample_losses": [3.0, 2.5], "outlier_at": 0.5}),
        Arm("diverged", "explodes", {"max_steps": 60, "lr": 1e30, "grad_clip": None}),
        Arm("short", "60 steps", {"max_steps": 60, "final_eval": "whole", "step_metrics": ["grad_norm"]}),
    ),
    settings={"schedule": "constant", "lr": 3e-3, "eval_interval": 20, "checkpoint_interval": 50},
)
"""
KILL_AT = 1230
TIMES = ["step_time_s", "tokens_per_sec"]


@pytest.mark.slow
def test_the_report_from_wandb_is_the_report_from_the_folders(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """5,000 steps with a SIGKILL in the middle, a diverged run and a plain one: equal frames, and pages equal to the
    byte. Only the seconds of steps that were computed twice are those of the first time in W&B.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mirrored.py").write_text(STUDY)
    kill_in_the_middle(tmp_path, run_study(tiny_corpus))
    assert run_study(tiny_corpus).wait(200) == 0
    assert call("report", "--from", "wandb:tester/gptexp", "--out", "read").status == 0
    assert call("report", "--out", "local").status == 0
    (folder,) = (tmp_path / "cache" / "wandb").glob("*/")
    local, read = load_frames(tmp_path / "runs"), load_frames(folder)
    assert dict(local.runs["outcome"].value_counts()) == {"completed": 2, "diverged": 1}
    assert local.runs["processes"].max() == 2
    assert (len(local.steps), local.steps["train_loss"].isna().sum()) == (len(read.steps), 1)
    assert_same_frames(without_times(local), without_times(read))
    same_times = (local.steps[TIMES] == read.steps[TIMES]).all(axis=1)
    assert (~same_times).sum() < 2 * 50
    files = [path.relative_to(tmp_path / "local") for path in (tmp_path / "local").rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        assert (tmp_path / "read" / path).read_bytes() == (tmp_path / "local" / path).read_bytes(), path
    calls = wandb_server.store.calls
    calls.clear()
    assert call("report", "--from", "wandb:tester/gptexp", "--out", "again").status == 0
    assert [call for call in calls if "History" in call] == []


def run_study(corpus: Path, study: str = "mirrored") -> subprocess.Popen[bytes]:
    """`gptexp run` in a process group of its own."""
    fields = [f"--set={key}={value}" for key, value in SHAPE.items() if key != "final_eval"]
    options = ["--scale", "quick", "--corpus", str(corpus), "--wandb", "online", "--no-report", "--jobs", "2"]
    return subprocess.Popen(command("run", study, *fields, *options), start_new_session=True)


def kill_in_the_middle(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to everything once the long run has come far enough."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(f'"step": {KILL_AT},' in log.read_text() for log in folder.glob("runs/*/records.jsonl")):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.05)
    pytest.fail("the long run was not seen in its middle")


def without_times(frames: Frames) -> Frames:
    return Frames(**{**vars(frames), "steps": frames.steps.drop(columns=TIMES)})


@pytest.mark.slow
def test_a_run_that_a_second_study_asks_for_is_in_both(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """An arm that two studies share is trained once; its mirror learns of the second study, and nothing comes twice."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "experiments").mkdir()
    only_short = STUDY.replace('        Arm("long"', '        # Arm("long"').replace(
        '        Arm("div', '        # Arm("div'
    )
    (tmp_path / "experiments" / "mirrored.py").write_text(only_short)
    (tmp_path / "experiments" / "second.py").write_text(only_short.replace('name="mirrored"', 'name="second"'))
    for study in ("mirrored", "second"):
        assert run_study(tiny_corpus, study).wait(100) == 0
        (mirror,) = wandb_server.store.runs.values()
        assert [row["_step"] for row in mirror.rows] == list(range(len(mirror.rows)))
        assert call("report", "--from", "wandb:tester/gptexp", "--out", "read").status == 0
    (folder,) = (tmp_path / "cache" / "wandb").glob("*/")
    assert mirror.group == "mirrored/quick"
    assert_same_frames(load_frames(tmp_path / "runs"), load_frames(folder))
    assert set(load_frames(folder).members["study"]) == {"mirrored", "second"}
