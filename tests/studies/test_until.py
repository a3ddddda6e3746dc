"""The first steps of a long run: trained with the config of the whole, left resumable, and the same to the bit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from gptexp.mirrors.protocol import RunInfo, Tracker
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.plan import find_status
from gptexp.studies.results import report_failure
from gptexp.tracking.housekeeping import clean_run
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.verify import verify_run
from gptexp.training.checkpoint import list_checkpoints, step_of
from tests.studies.tiny import make_job, read_untimed, run_tiny, write_corpus

CHANGES: dict[str, Any] = {"max_steps": 11, "checkpoint_interval": 100, "eval_interval": 4, "dropout": 0.1}
Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    write_corpus(path)
    return path


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Records]:
    """Result and records of the run that nothing stops."""
    return run_tiny(tmp_path_factory.mktemp("whole"), corpus, **CHANGES)


@pytest.fixture
def job(corpus: Path, tmp_path: Path) -> Job:
    return make_job(tmp_path / "runs", corpus, **CHANGES)


def train_job(job: Job, until: int | None, stop_at: int | None = None, trackers: tuple[Tracker, ...] = ()) -> Any:
    """Train up to a step, asked to stop by a signal after `stop_at` steps of this process."""
    asked = iter([False] * ((stop_at or 99) - 1) + [True])
    return execute(dataclasses.replace(job, until_step=until), trackers, lambda: next(asked), pytest.fail)


def numbers(result: Any) -> dict[str, Any]:
    times = {"duration_s", "peak_memory_mib", "finished_at"}
    return {name: value for name, value in dataclasses.asdict(result).items() if name not in times}


def test_it_stops_with_a_checkpoint_and_the_whole_runs_records(job: Job, whole: tuple[Any, Records]) -> None:
    """Whatever the intervals: the log ends at that step as the whole run's does there, and a checkpoint is of it."""
    result = train_job(job, 5)
    run_dir = RunDir(Path(job.run_dir))
    assert (result.outcome, result.outcome_detail, result.last_step) == ("stopped", "at step 5 of 11", 5)
    assert read_untimed(run_dir.path) == [record for record in whole[1] if record["step"] <= 5]
    assert step_of(list_checkpoints(run_dir.checkpoints)[0]) == 5
    assert verify_run(run_dir).word == "sound"
    assert run_dir.read_config()["config"]["max_steps"] == 11


@pytest.mark.parametrize(
    "ways",
    [
        [(5, None), (None, None)],
        [(3, None), (7, None), (None, None)],
        [(5, 2), (5, None), (None, 4), (None, None)],
        [(None, 6), (5, None), (None, None)],
        [(4, None), (8, None), (10, None), (11, None)],
    ],
    ids=["on", "in parts", "interrupted", "after an interruption", "to its end"],
)
def test_what_was_stopped_goes_on_to_the_same_run(
    job: Job, whole: tuple[Any, Records], ways: list[tuple[int | None, int | None]]
) -> None:
    """Records, weights and every number of the result are those of the run that nothing stopped."""
    for until, stop_at in ways:
        result = train_job(job, until, stop_at)
    assert read_untimed(Path(job.run_dir)) == whole[1]
    assert numbers(result) == numbers(whole[0])
    assert verify_run(RunDir(Path(job.run_dir))).word == "sound"


def test_who_got_there_is_not_trained_again(job: Job) -> None:
    """An earlier step is answered from the record, by the plan too; nothing of the folder is touched."""
    train_job(job, 5)
    run_dir = RunDir(Path(job.run_dir))
    before = {path.name: path.stat().st_mtime_ns for path in run_dir.path.iterdir() if path.is_file()}
    for until in (5, 3, 1):
        assert train_job(job, until).last_step == 5
        assert find_status(run_dir, 11, until) == ("reached", "stopped at step 5 of 11", 5)
    assert {path.name: path.stat().st_mtime_ns for path in run_dir.path.iterdir() if path.is_file()} == before
    assert find_status(run_dir, 11, 6) == ("resumable", "stopped at step 5 of 11; goes on from step 5", 5)
    assert find_status(run_dir, 11)[0] == "resumable"


def test_an_interrupted_run_that_is_far_enough_only_gets_its_record(job: Job, whole: tuple[Any, Records]) -> None:
    """It was stopped by a signal at step 7; up to 5 nothing is left to train."""
    train_job(job, None, 7)
    assert find_status(RunDir(Path(job.run_dir)), 11, 5)[0] == "resumable"
    result = train_job(job, 5)
    assert (result.outcome, result.last_step) == ("stopped", 7)
    assert read_untimed(Path(job.run_dir)) == [record for record in whole[1] if record["step"] <= 7]


@pytest.mark.parametrize("until", [11, 12, 10**30])
def test_a_step_at_or_beyond_the_last_one_means_the_whole_run(job: Job, whole: tuple[Any, Records], until: int) -> None:
    """There is nothing to leave for later: the run gets its end, and a done one is answered from its record."""
    result = train_job(job, until)
    assert numbers(result) == numbers(whole[0])
    assert numbers(train_job(job, 3)) == numbers(whole[0])


def test_a_run_that_diverges_before_is_over(job: Job, corpus: Path, tmp_path: Path) -> None:
    """It has its result: nothing goes on, and nothing is called stopped."""
    broken = make_job(tmp_path / "runs", corpus, **CHANGES, lr=1e30, schedule="constant", grad_clip=None)
    first = train_job(broken, 9)
    assert first.outcome == "diverged"
    written = (Path(broken.run_dir) / "result.json").read_bytes()
    assert train_job(broken, None).outcome == "diverged"
    assert (Path(broken.run_dir) / "result.json").read_bytes() == written


def test_flags_that_speak_of_the_end_wait_for_it(corpus: Path, tmp_path: Path) -> None:
    """Whether a run ends on a plateau or overfits is not told from its first steps; whether it spiked is."""
    changes = {**CHANGES, "eval_interval": 1, "lr": 1e-9}
    result, _ = run_tiny(tmp_path / "whole", corpus, **changes)
    assert "plateaued" in result.flags
    assert train_job(make_job(tmp_path / "part", corpus, **changes), 8).flags == {}


class Ears:
    """A mirror that notes how runs end."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str]] = []

    def start(self, info: RunInfo) -> None:
        self.heard.append((info.from_step, f"{len(info.earlier)} earlier"))

    def log(self, record: Any) -> None: ...

    def finish(self, result: Any) -> None:
        self.heard.append((result.last_step, result.outcome))


def test_mirrors_hear_that_it_goes_on(job: Job) -> None:
    """A tracker is told `stopped`, and then the earlier records again, as of a run that was interrupted."""
    ears = Ears()
    train_job(job, 5, trackers=(ears,))
    earlier = len(read_untimed(Path(job.run_dir)))
    train_job(job, None, trackers=(ears,))
    assert ears.heard == [(0, "0 earlier"), (5, "stopped"), (5, f"{earlier} earlier"), (11, "completed")]


def test_cleaning_leaves_what_it_goes_on_from(job: Job, whole: tuple[Any, Records]) -> None:
    """`gc --weights` frees what runs no longer need: this one needs its weights and its optimizer."""
    train_job(job, 5)
    assert clean_run(RunDir(Path(job.run_dir)), weights=True) == []
    assert numbers(train_job(job, None)) == numbers(whole[0])


def test_a_process_that_dies_after_it_got_there_has_not_failed(job: Job) -> None:
    """The record stands."""
    train_job(job, 5)
    assert report_failure(dataclasses.replace(job, until_step=5), "killed").outcome == "stopped"
    assert report_failure(job, "killed").outcome == "failed"


def test_a_job_knows_what_is_too_little_for_it(job: Job) -> None:
    """A run that somebody else stopped at step 5, for whoever wants 3, 5, 8 or all of its steps."""
    stopped = train_job(job, 5)
    wanted = [dataclasses.replace(job, until_step=until) for until in (3, 5, 8, None)]
    assert [one.needs_more(stopped) for one in wanted] == [False, False, True, True]
    assert not any(one.needs_more(train_job(job, None)) for one in wanted)


def test_a_record_that_was_altered_is_found(job: Job) -> None:
    """Its numbers follow from its log, and its newest weights are of its last step."""
    train_job(job, 5)
    run_dir = RunDir(Path(job.run_dir))
    result = run_dir.read_result()
    assert result is not None
    run_dir.write_result(dataclasses.replace(result, max_grad_norm=0.5, last_step=6))
    problems = " ".join(verify_run(run_dir).problems)
    assert "max_grad_norm" in problems
    assert "newest checkpoint is of step 5" in problems


def test_a_log_that_lost_its_end_does_not_count(job: Job, whole: tuple[Any, Records]) -> None:
    """A record of step 5 beside a log of four steps is damage: the run is trained again from what is sound."""
    train_job(job, 5)
    run_dir = RunDir(Path(job.run_dir))
    lines = run_dir.records.read_text().splitlines(keepends=True)
    run_dir.records.write_text("".join(lines[:-1]))
    assert find_status(run_dir, 11, 5)[0] == "damaged"
    warnings: list[str] = []
    execute(dataclasses.replace(job, until_step=5), [], lambda: False, warnings.append)
    assert read_untimed(run_dir.path) == [record for record in whole[1] if record["step"] <= 5]
    assert json.loads((run_dir.path / "result.json").read_text())["outcome"] == "stopped"
