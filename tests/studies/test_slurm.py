"""`--launcher slurm`, on submitit's local and debug executors: the same ways, without Slurm."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.launchers import JobContext, JobEnd, JobEvent, Notice
from gptexp.studies.runner import execute_job
from gptexp.studies.slurm import SlurmLauncher
from tests.studies.processes import await_none, list_marked
from tests.studies.tiny import make_job, read_untimed, write_corpus

pytest.importorskip("submitit", reason='needs submitit: pip install "gptexp[slurm]"')


@dataclass(frozen=True)
class Count:
    """A job that counts up to `to`, or for ever."""

    name: str
    home: Path
    to: int | None
    restarts: int = 0

    def needs_more(self, result: int) -> bool:
        return self.to is not None and result < self.to


def count(job: Count, context: JobContext) -> int:
    """Counts until it is stopped."""
    number = 0
    while not context.should_stop() and number != job.to:
        number += 1
        context.emit(number)
        time.sleep(0.05)
    if job.to == 0:
        raise GptexpError("there is nothing to count")
    return number


def train(launcher: SlurmLauncher, job: Job, at_step: int, act: Any) -> list[Any]:
    """Carry out a run, and act once when it has got to `at_step`; returns all that was told."""
    told: list[Any] = []
    for news in launcher.launch(execute_job, [job]):
        told.append(news)
        if act and isinstance(news, JobEvent) and getattr(news.event, "step", 0) >= at_step:
            act()
            act = None
    return told


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GPTEXP_TEST_MARK", str(tmp_path))
    return str(tmp_path)


def test_jobs_end_with_results_or_reasons(tmp_path: Path) -> None:
    """By submitit's debug executor: each job's events come in their order before its one end."""
    jobs = [Count("three", tmp_path, 3), Count("none", tmp_path, 0)]
    news = list(SlurmLauncher(2, executor="debug").launch(count, jobs))
    assert [item.event for item in news if isinstance(item, JobEvent)] == [1, 2, 3]
    ends = {item.job.name: item for item in news if isinstance(item, JobEnd)}
    assert ends["three"].result == 3
    assert ends["none"].error == "there is nothing to count"


@pytest.mark.slow
def test_a_killed_and_a_preempted_run_come_to_what_an_undisturbed_one_does(tmp_path: Path, mark: str) -> None:
    """Killed it is submitted again; preempted it writes a checkpoint and is queued again: the same records both times,
    and no process is left."""
    corpus = tmp_path / "tiny.txt"
    write_corpus(corpus)
    shape = {"max_steps": 60, "checkpoint_interval": 20, "block_size": 64}
    alone = make_job(tmp_path / "alone", corpus, **shape)
    execute(alone, [], lambda: False, lambda message: None)
    expected = read_untimed(Path(alone.run_dir))

    def signal_job(number: int) -> None:
        (process,) = list_marked(mark, "submitit.core._submit")
        os.kill(process, number)

    for name, number in (("killed", signal.SIGKILL), ("preempted", signal.SIGUSR2)):
        job = make_job(tmp_path / name, corpus, **shape)
        told = train(SlurmLauncher(1, executor="local"), job, 10, lambda number=number: signal_job(number))
        assert told[-1].result.outcome == "completed"
        notices = [news.event.message for news in told if isinstance(getattr(news, "event", None), Notice)]
        assert any("again" in notice for notice in notices), notices
        assert read_untimed(Path(job.run_dir)) == expected
        assert len((Path(job.run_dir) / "provenance.jsonl").read_text().splitlines()) == 2
    assert await_none(mark, "submitit") == []


def test_a_command_may_be_left_and_started_again(tmp_path: Path, mark: str) -> None:
    """Leaving ends nothing: the same jobs are found at work, not submitted twice. To kill it asks them to stop."""
    jobs = [Count("for-ever", tmp_path, None)]
    seen: list[int] = []
    for turn in range(2):
        launcher = SlurmLauncher(1, executor="local")
        for news in launcher.launch(count, jobs):
            assert isinstance(news, JobEvent)
            seen.append(news.event)
            if news.event >= 5 + 20 * turn:
                launcher.stop()
        assert len(list_marked(mark, "submitit.core._submit")) == 1
    assert 25 <= max(seen) < 1000
    launcher.kill()
    assert await_none(mark, "submitit") == []


@pytest.mark.parametrize(("to", "times"), [(61, 2), (59, 1)], ids=["further", "not as far"])
def test_a_job_that_was_found_and_is_to_go_further_is_submitted_again(tmp_path: Path, to: int, times: int) -> None:
    """An earlier command asked for 60: whoever asks for more gets it, and nobody else waits a second time."""
    first = SlurmLauncher(1, executor="local")
    for _ in first.launch(count, [Count("one", tmp_path, 60)]):
        first.stop()
    # The earlier command's process would be gone by now, and would leave no zombie.
    threading.Thread(target=first._submitted[0].handle._process.wait).start()
    news = list(SlurmLauncher(1, executor="local").launch(count, [Count("one", tmp_path, to)]))
    notices = [item.event for item in news if isinstance(item, JobEvent) and isinstance(item.event, Notice)]
    assert len(notices) == times - 1
    assert [item.result for item in news if isinstance(item, JobEnd)] == [max(to, 60)]


def test_a_machine_without_slurm_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of running the jobs here, as submitit would."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GptexpError, match=r"needs Slurm's sbatch.*--executor local"):
        SlurmLauncher(1)
