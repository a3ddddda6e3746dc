"""Runs mirrored online by the real client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gptexp.mirrors.protocol import RunInfo
from gptexp.mirrors.wandb import WandbTracker, choose_mode
from gptexp.studies.execute import execute
from tests.loopback.server import LoopbackServer
from tests.loopback.store import StoredRun, comparable
from tests.studies.tiny import TIMES, make_job
from tests.wandb.runs import SHAPE, assert_complete, sync, train_command, wait_until
from tests.wandb.runs import command as gptexp_command

MEMBER = {"study": "tiny", "arm": "warm", "scale": "quick", "seed": 1337, "question": "Does it warm?", "variant": {}}


def run_online(runs_dir: Path, corpus: Path, mode: str = "online", **changes: Any) -> Path:
    """Train the tiny run with a mirror that must not complain; returns its folder."""
    job = make_job(runs_dir, corpus, **changes)
    warnings: list[str] = []
    member = {**job.__dict__, "member": MEMBER}
    tracker = WandbTracker(mode, warn=warnings.append)  # type: ignore[arg-type]
    execute(type(job)(**member), [tracker], lambda: False, warnings.append)
    assert warnings == []
    return Path(job.run_dir)


def read_result(run_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_dir / "result.json").read_text())
    return content


def test_a_run_is_mirrored_whole(wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path) -> None:
    """One W&B run under the run id: history, resolved config, summary, names, samples, corpus by its checksum."""
    run_dir = run_online(tmp_path / "runs", tiny_corpus)
    (run,) = wandb_server.store.runs.values()
    content = json.loads((run_dir / "config.json").read_text())
    assert run.name == content["run_id"]
    assert_complete(run, run_dir)
    settings = run.settings()
    about = settings.pop("gptexp")
    assert settings == content["config"]
    assert about["engine_version"] == content["engine_version"]
    assert about["provenance"]["torch"]
    result = read_result(run_dir)
    assert {name: run.summary[name] for name in ("outcome", "final_val_loss", "best_val_loss", "best_val_step")} == {
        name: result[name] for name in ("outcome", "final_val_loss", "best_val_loss", "best_val_step")
    }
    assert (run.state, run.group, run.job_type, run.notes) == ("finished", "tiny/quick", "warm", "Does it warm?")
    assert run.tags == ["tiny", "quick", "tiny.txt"]
    assert "step" in json.dumps(run.config["_wandb"])
    artifacts = {artifact.type: artifact for artifact in wandb_server.store.artifacts.values()}
    assert content["corpus"]["checksum"] in json.dumps(artifacts["dataset"].manifest)
    assert artifacts["run_table"].state == artifacts["dataset"].state == "COMMITTED"
    text = tiny_corpus.read_bytes()
    assert not any(text[:200] in data for data in wandb_server.store.uploads.values())


def test_a_diverged_run_is_a_finished_one(wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path) -> None:
    """Exit code 0 and outcome `diverged`, with the loss that broke in the history."""
    run_dir = run_online(tmp_path / "runs", tiny_corpus, lr=1e30, grad_clip=None, schedule="constant")
    (run,) = wandb_server.store.runs.values()
    assert (run.state, run.exit_code, run.summary["outcome"]) == ("finished", 0, "diverged")
    assert_complete(run, run_dir)
    assert "train_loss" in run.rows[-2] or "event_name" in run.rows[-2]


def test_an_interrupted_run_goes_on(wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path) -> None:
    """Stopped twice, the run is `preempted` in between and has one whole history at the end."""
    job = make_job(tmp_path / "runs", tiny_corpus)
    for polls in (3, 4):
        left = iter([False] * polls)
        execute(job, [WandbTracker("online")], lambda left=left: next(left, True), pytest.fail)  # type: ignore[misc]
        run = wandb_server.store.run(job.run_id)
        assert (run.state, run.summary["outcome"]) == ("preempted", "interrupted")
        assert not [name for name in run.summary if name.startswith("final_")]
    execute(job, [WandbTracker("online")], lambda: False, pytest.fail)
    assert (run.state, run.summary["outcome"]) == ("finished", "completed")
    assert_complete(run, Path(job.run_dir))


@pytest.mark.slow
def test_a_killed_run_goes_on(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 of the whole group, twice, when W&B has rows that no checkpoint has: one whole history at the end."""
    monkeypatch.setenv("WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL", "1")
    command = train_command(tmp_path / "runs", tiny_corpus, max_steps=2500, checkpoint_interval=190)
    runs = wandb_server.store.runs
    for rows in (100, 800):
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        wait_until(lambda rows=rows: any(len(run.rows) > rows for run in list(runs.values())))  # type: ignore[misc]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (run,) = runs.values()
    assert len(run.rows) < 2500
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert wandb_server.store.calls.count("RunResumeStatus") == 3
    assert_complete(run, tmp_path / "runs" / run.name)
    assert run.state == "finished"


def test_offline_runs_are_indistinguishable_once_synced(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path
) -> None:
    """The same run online, and offline and then `wandb sync`: history, config, summary and names are the same."""
    online_dir = run_online(tmp_path / "online", tiny_corpus)
    (online,) = wandb_server.store.runs.values()
    wandb_server.store.runs.clear()
    offline_dir = run_online(tmp_path / "offline", tiny_corpus, mode="offline")
    assert not wandb_server.store.runs
    sync(*(offline_dir / "wandb").glob("offline-run-*"))
    (offline,) = wandb_server.store.runs.values()
    assert_complete(offline, offline_dir)
    assert online_dir.name == offline_dir.name
    assert timeless(online) == timeless(offline)


def timeless(run: StoredRun) -> dict[str, Any]:
    """Everything of a run that doesn't come from a clock."""
    clocks = (*TIMES, "duration_s", "finished_at", "peak_memory_mib", "_timestamp", "_runtime", "_wandb", "samples")
    rows = [{key: value for key, value in comparable(row).items() if key not in clocks} for row in run.rows]
    settings = run.settings()
    settings["gptexp"] = {key: value for key, value in settings["gptexp"].items() if key not in ("provenance", "files")}
    summary = {key: value for key, value in run.summary.items() if key not in (*clocks, "gptexp")}
    names = (run.display_name, run.group, run.job_type, run.tags, run.notes, run.state, run.exit_code)
    return {"rows": rows, "config": settings, "summary": summary, "names": names, "place": run.place}


def test_a_failed_run_leaves_the_next_one_alone(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose run breaks takes the next: the broken one is `failed`, no row of one lies in the other."""
    broken = make_job(tmp_path / "runs", tiny_corpus)
    with monkeypatch.context() as patch:
        patch.setattr("gptexp.studies.keeper.RunKeeper.save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            execute(broken, [WandbTracker("online")], lambda: False, pytest.fail)
    run_dir = run_online(tmp_path / "runs", tiny_corpus, seed=8)
    assert_complete(wandb_server.store.run(run_dir.name), run_dir)
    assert wandb_server.store.run(broken.run_id).state == "failed"


def test_a_checkpoint_is_stored_when_asked(wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path) -> None:
    """`--log-checkpoint`: the last weights lie in W&B, byte for byte."""
    job = make_job(tmp_path / "runs", tiny_corpus)
    execute(job, [WandbTracker("online", log_checkpoint=True)], lambda: False, pytest.fail)
    weights = (Path(job.run_dir) / "checkpoints" / "step-00000012" / "model.safetensors").read_bytes()
    assert weights in wandb_server.store.uploads.values()
    assert "model" in {artifact.type for artifact in wandb_server.store.artifacts.values()}


def test_too_many_requests(wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path) -> None:
    """Requests refused with 429 come again: nothing is lost, nothing comes twice."""

    class Refusing(WandbTracker):
        def start(self, info: RunInfo) -> None:
            super().start(info)
            wandb_server.answer_429(3)

    job = make_job(tmp_path / "runs", tiny_corpus)
    execute(job, [Refusing("online")], lambda: False, pytest.fail)
    assert wandb_server.too_many == 0
    assert_complete(wandb_server.store.run(job.run_id), Path(job.run_dir))


@pytest.mark.slow
def test_a_study_is_mirrored_run_by_run(wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path) -> None:
    """`gptexp run STUDY` with two workers: a W&B run per run, grouped by study and scale, whole; again, nothing."""
    settings = [text for key, value in {**SHAPE, "max_steps": 40}.items() for text in ("--set", f"{key}={value}")]
    places = ["--scale", "quick", "--corpus", str(tiny_corpus), "--runs-dir", str(tmp_path / "runs"), "--jobs", "2"]
    words = gptexp_command("run", "lr-ablation", *settings, *places, "--no-report", "--wandb", "online")
    done = subprocess.run(words, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout
    assert "wandb" not in done.stdout.lower()
    run_dirs = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    assert len(run_dirs) == len(wandb_server.store.runs) == 4
    for run_dir in run_dirs:
        run = wandb_server.store.run(run_dir.name)
        assert_complete(run, run_dir)
        assert (run.state, run.group) == ("finished", "lr-ablation/quick")
        assert run.notes
    calls = len(wandb_server.store.calls)
    subprocess.run(words, check=True, capture_output=True, timeout=100)
    assert len(wandb_server.store.calls) == calls


def test_wandb_login_is_seen(wandb_server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `wandb login` into a server with a port of its own, runs go online."""
    key = os.environ["WANDB_API_KEY"]
    monkeypatch.delenv("WANDB_API_KEY")
    assert choose_mode(None) == "offline"
    subprocess.run([sys.executable, "-m", "wandb", "login", key], check=True, capture_output=True, timeout=60)
    assert choose_mode(None) == "online"
