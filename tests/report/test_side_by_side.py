"""Sections made in several processes are those that one process makes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from gptexp.errors import GptexpError
from gptexp.processes import ALONE
from gptexp.report import side_by_side, workers
from gptexp.report.build import make_files
from gptexp.report.side_by_side import Wanted, make_sections
from gptexp.report.workers import start_processes
from gptexp.runs import frames
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from tests.report.synthetic import initial_loss, lr_ablation, write_runs


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two studies, few runs that count as many, on a machine of three cores."""
    write_runs(tmp_path / "runs", [*lr_ablation(seeds=2, max_steps=60), *initial_loss(2)])
    monkeypatch.setattr(workers, "MANY_RUNS", 1)
    monkeypatch.setattr(side_by_side, "PARTS_AT_ONCE", 4)
    monkeypatch.setattr(frames, "LOGS_AT_ONCE", 2)
    monkeypatch.setattr(workers, "count_cores", lambda: 3)
    return tmp_path / "runs"


@pytest.mark.slow
def test_the_page_has_the_same_bytes(runs_dir: Path) -> None:
    """Every file, and their order, is that of a report made in one process."""
    with start_processes(runs_dir) as processes:
        assert processes.pool is not None
        in_several = make_files(None, runs_dir=runs_dir, processes=processes)
    in_one = make_files(None, runs_dir=runs_dir)
    assert len(in_one) > 20
    assert list(in_several.items()) == list(in_one.items())


@pytest.mark.slow
def test_processes_that_die_are_done_without(runs_dir: Path) -> None:
    """Where the other processes are killed, as by a machine short of memory, this one makes all of it."""
    (study,) = select_studies(load_frames(runs_dir), ["lr-ablation"])
    wanted = Wanted(study, "slug", ("results", "loss-curves", "lr-schedules", "training", "speed"))
    with start_processes(runs_dir) as processes:
        assert processes.pool is not None
        for process in list(processes.pool._processes.values()):
            process.kill()
            process.join()
        (made,) = make_sections([wanted], processes)
    (alone,) = make_sections([wanted], ALONE)
    assert len(made) == 5
    assert [files for _, files in made] == [files for _, files in alone]


@pytest.mark.slow
def test_one_that_dies_at_work_is_done_without(tmp_path: Path) -> None:
    """One of three processes is killed in the middle: every item is there once, and nothing waits for ever."""
    mark = str(tmp_path / "victim")
    script = (
        "from gptexp.processes import Processes\n"
        "from tests.report.deadly import square\n"
        "if __name__ == '__main__':\n"
        "    with Processes(3, wake=print) as processes:\n"
        f"        print(sum(processes.map(square, [(n, {mark!r}) for n in range(40)])))\n"
    )
    file = tmp_path / "deadly_work.py"
    file.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[-1] == str(sum(n * n for n in range(40)))
    assert (tmp_path / "victim").exists()


def test_two_sections_of_one_study_are_both_made(runs_dir: Path) -> None:
    """A report may show a study twice, with other parts."""
    (study,) = select_studies(load_frames(runs_dir), ["lr-ablation"])
    wanted = [Wanted(study, "same", ("results",)), Wanted(study, "same", ("training", "speed"))]
    assert [len(made) for made in make_sections(wanted, ALONE)] == [1, 2]


def test_an_unknown_part_is_one_sentence(runs_dir: Path) -> None:
    """The sentence of a process reaches the person."""
    study = select_studies(load_frames(runs_dir))[0]
    wanted = [Wanted(study, str(n), ("no-such-part",)) for n in range(4)]
    with start_processes(runs_dir) as processes, pytest.raises(GptexpError, match="'no-such-part' is no part"):
        make_sections(wanted, processes)


def test_only_its_fields_travel(runs_dir: Path) -> None:
    """What an instance has cached stays here: a thread may pickle it while this process works on it."""
    study = select_studies(load_frames(runs_dir))[0]
    before = pickle.dumps(study)
    assert [len(study.runs), len(study.val_curve), len(study.steps_of(study.arms[0]))] != [0, 0, 0]
    assert len(pickle.dumps(study)) == len(before)
    assert vars(study).keys() > vars(pickle.loads(before)).keys()


def test_a_small_report_starts_no_process(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting takes longer than a few runs do."""
    monkeypatch.setattr(workers, "MANY_RUNS", 100)
    assert start_processes(runs_dir).pool is None
    assert start_processes(runs_dir / "nowhere").pool is None
