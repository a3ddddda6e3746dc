"""Several processes train one run as one process would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gptexp.config import build_config
from gptexp.errors import GptexpError
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.launchers import JobEnd, JobEvent, LocalLauncher
from gptexp.studies.runner import execute_job
from gptexp.tracking.run_dir import RunDir
from tests.studies.processes import await_none, list_marked
from tests.studies.tiny import make_job, read_untimed, write_corpus

SHAPE: dict[str, Any] = {"max_steps": 50, "grad_accum_steps": 2, "precision": "fp32", "threads": 1}
FOLLOWER = "gptexp.studies.follower"


def train(job: Job) -> list[dict[str, Any]]:
    result = execute(job, [], lambda: False, lambda message: None)
    assert result.outcome == "completed", result.outcome_detail
    return read_untimed(Path(job.run_dir))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "tiny.txt"
    write_corpus(path)
    return path


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> list[dict[str, Any]]:
    """The records of two processes that nobody disturbed."""
    return train(make_job(tmp_path_factory.mktemp("two"), corpus, world_size=2, **SHAPE))


def test_two_processes_train_what_one_would(tmp_path: Path, corpus: Path, by_two: list[dict[str, Any]]) -> None:
    """50 steps in fp32 with accumulation: the same records in the same order, losses within 1e-5, one log."""
    alone = train(make_job(tmp_path, corpus, **SHAPE))
    assert [(row["kind"], row["step"]) for row in by_two] == [(row["kind"], row["step"]) for row in alone]
    for name in ("train_loss", "val_loss", "grad_norm"):
        ours, theirs = ([row[name] for row in rows if name in row] for rows in (alone, by_two))
        assert len(ours) >= 10
        assert ours == pytest.approx(theirs, abs=1e-5 if name != "grad_norm" else 1e-4)


def test_a_killed_leader_costs_nothing_and_leaves_nobody(
    tmp_path: Path, corpus: Path, by_two: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle its follower goes too; started again the run gives the records of an undisturbed one."""
    monkeypatch.setenv("GPTEXP_TEST_MARK", str(tmp_path))
    # Without another worker in its place, which would go on with the run.
    job = replace(make_job(tmp_path, corpus, world_size=2, **SHAPE), restarts=0)
    killed = False
    for news in LocalLauncher(1).launch(execute_job, [job]):
        if isinstance(news, JobEvent) and getattr(news.event, "step", 0) >= 8 and not killed:
            assert len(list_marked(str(tmp_path), FOLLOWER)) == 1
            (worker,) = list_marked(str(tmp_path), "spawn_main")
            os.kill(worker, signal.SIGKILL)
            killed = True
    assert await_none(str(tmp_path), FOLLOWER) == []
    assert RunDir(Path(job.run_dir)).read_result() is None
    assert train(job) == by_two


def test_a_lost_follower_is_one_sentence(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends at once with what happened, instead of waiting for a process that is gone."""
    monkeypatch.setenv("GPTEXP_TEST_MARK", str(tmp_path))
    job = make_job(tmp_path, corpus, world_size=2, **{**SHAPE, "max_steps": 5000})
    ends = []
    for news in LocalLauncher(1).launch(execute_job, [job]):
        if isinstance(news, JobEnd):
            ends.append(news)
        elif getattr(news.event, "step", 0) >= 4:
            for follower in list_marked(str(tmp_path), FOLLOWER):
                os.kill(follower, signal.SIGKILL)
    assert ends[0].error == "process 2 of the 2 that train this run together is gone: it ended with exit status -9"


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    """Each process takes as many windows as the others: a batch that doesn't divide is refused with both numbers."""
    with pytest.raises(GptexpError, match=r"batch_size=8 can't be shared evenly by world_size=3"):
        build_config({"batch_size": 8, "world_size": 3})


@pytest.mark.slow
def test_torchrun_trains_a_run_and_answers_it_when_it_is_done(tmp_path: Path, corpus: Path) -> None:
    """README's command: one run with one log, by as many processes as torchrun starts; again, it trains nothing."""
    words = "--nproc_per_node=2 -m gptexp train --scale quick --tokenizer=char --n_layer=1 --n_embd=16 max_steps=6"
    command = [sys.executable, "-m", "torch.distributed.run", *words.split(), "--wandb", "disabled"]
    for _ in range(2):
        done = subprocess.run(
            [*command, "--corpus", str(corpus)], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").glob("[0-9a-f]*")
    assert RunDir(folder).read_config()["config"]["world_size"] == 2
    assert len((folder / "provenance.jsonl").read_text().splitlines()) == 1
    assert "nothing to train" in done.stdout
