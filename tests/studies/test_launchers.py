"""Launchers: every job ends with a result or a reason, whatever happens to its worker."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.studies.launchers import JobContext, JobEnd, JobEvent, LocalLauncher, Needs, Notice


def work(job: dict[str, Any], context: JobContext) -> Any:
    """What the workers of these tests do; module-level, so that it can be sent to them."""
    match job["do"]:
        case "square":
            context.emit(f"squaring {job['n']}")
            return job["n"] ** 2, os.getpid()
        case "refuse":
            raise GptexpError("the corpus is empty")
        case "break":
            raise RuntimeError("a bug")
        case "memory":
            raise MemoryError
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once":
            path = Path(job["path"])
            if not path.exists():
                path.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return "done"
        case "look":
            # Long enough that every worker gets one.
            time.sleep(0.3)
            return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]
        case "wait":
            context.emit("waiting")
            while not context.should_stop():
                time.sleep(0.01)
            return "stopped"
    return None


class GpuJob(dict[str, Any]):
    """A job that needs GPUs, and may begin again once."""

    needs = Needs(gpus=1.0)
    restarts = 1


def ends(launcher: LocalLauncher, jobs: list[dict[str, Any]]) -> list[JobEnd]:
    return [news for news in launcher.launch(work, jobs) if isinstance(news, JobEnd)]


def test_every_job_is_done_once_by_lasting_workers() -> None:
    """Six jobs on two workers: six results, and no more than two processes, so start-up is paid once each."""
    launcher = LocalLauncher(2)
    news = list(launcher.launch(work, [{"do": "square", "n": n} for n in range(6)]))
    results = [item.result for item in news if isinstance(item, JobEnd)]
    assert sorted(square for square, _ in results) == [0, 1, 4, 9, 16, 25]
    assert len({pid for _, pid in results}) <= 2
    assert len([item for item in news if isinstance(item, JobEvent)]) == 6


def test_a_job_that_fails_leaves_the_others_alone() -> None:
    """Refused, broken, out of memory or killed: each has its reason, and the jobs after it still run."""
    jobs = [{"do": name} for name in ("refuse", "break", "die", "memory")] + [{"do": "square", "n": 3}]
    found = {end.job["do"]: end for end in ends(LocalLauncher(1), jobs)}
    assert found["refuse"].error == "the corpus is empty"
    assert "RuntimeError at test_launchers.py" in str(found["break"].error)
    assert "signal 9" in str(found["die"].error)
    assert found["memory"].error == "it ran out of memory"
    assert found["square"].result[0] == 9


def test_stop_lets_running_jobs_finish_and_starts_no_more() -> None:
    """After `stop` the running job ends by itself and the waiting ones never start."""
    launcher = LocalLauncher(1)
    found = []
    for news in launcher.launch(work, [{"do": "wait"}, {"do": "square", "n": 2}]):
        if isinstance(news, JobEvent):
            threading.Thread(target=launcher.stop).start()
        else:
            found.append(news.result)
    assert found == ["stopped"]


@pytest.mark.parametrize(
    ("gpus", "share", "expected"),
    [
        (["0", "1", "2"], None, {"0": 1, "1": 1, "2": 1}),
        (["4", "5"], 0.5, {"4": 2, "5": 2}),
        (["0", "1", "2", "3"], 2.0, {"0,1": 1, "2,3": 1}),
        (["0"], None, {"0": 3}),
    ],
    ids=["one each", "half of one", "two each", "more workers than GPUs"],
)
def test_each_worker_sees_gpus_of_its_own(gpus: list[str], share: float | None, expected: dict[str, int]) -> None:
    """One GPU a worker, or the share that was asked for; where nothing was said, workers beyond the GPUs share them."""
    n_workers = 4 if share else 3
    launcher = LocalLauncher(n_workers, gpus_per_run=share, gpus=gpus)
    seen = {end.result for end in ends(launcher, [GpuJob(do="look") for _ in range(8)])}
    assert Counter(visible for _, visible in seen) == expected


@pytest.mark.parametrize(("count", "expected"), [(2, {"0", "1"}), (0, None)])
def test_gpus_that_nobody_lists_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, expected: set[str] | None
) -> None:
    """Without nvidia-smi PyTorch counts them; where it finds none either, there is a sentence and no waiting."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    launcher = LocalLauncher(2, gpus_per_run=1.0)
    with contextlib.nullcontext() if expected else pytest.raises(GptexpError, match="--gpus-per-run 1: this machine"):
        seen = {end.result for end in ends(launcher, [GpuJob(do="look") for _ in range(4)])}
        assert {visible for _, visible in seen} == expected


def test_a_launcher_without_workers_has_one() -> None:
    """No number of workers waits for ever."""
    assert ends(LocalLauncher(0), [{"do": "square", "n": 3}])[0].result[0] == 9


def test_a_dead_worker_is_replaced(tmp_path: Path) -> None:
    """Its job begins again in another one, on the same GPU, and is said to; a job that kills each worker fails."""
    jobs = [GpuJob(do="die once", path=str(tmp_path / "mark")), GpuJob(do="die"), GpuJob(do="look")]
    news = list(LocalLauncher(1, gpus=["7"]).launch(work, jobs))
    found = {item.job["do"]: item for item in news if isinstance(item, JobEnd)}
    assert found["die once"].result == "done"
    assert "signal 9" in str(found["die"].error)
    assert found["look"].result[1] == "7"
    notices = [item.event.message for item in news if isinstance(getattr(item, "event", None), Notice)]
    assert len(notices) == 2
    assert "another process goes on from its last checkpoint" in notices[0]


class _StopsAtOnce(LocalLauncher):
    """Is asked to stop while its worker is still starting."""

    def _start_worker(self, function: Any, job: Any) -> None:
        super()._start_worker(function, job)
        self.stop()


def test_a_job_that_was_stopped_before_it_began_has_not_failed() -> None:
    """A worker that is asked before it listens ends without a word: its job is as those that were never begun."""
    assert list(_StopsAtOnce(1).launch(print, ["job", "another"])) == []
