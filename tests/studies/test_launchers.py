"""Launchers: every job ends with a result or a reason, whatever happens to its worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from gptexp.errors import GptexpError
from gptexp.studies.launchers import JobContext, JobEnd, JobEvent, LocalLauncher


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
        case "wait":
            context.emit("waiting")
            while not context.should_stop():
                time.sleep(0.01)
            return "stopped"
    return None


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
