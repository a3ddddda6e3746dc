"""Exhibits made in several processes are those that one process makes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from gptexp.errors import GptexpError
from gptexp.processes import ALONE
from gptexp.report import make, workers
from gptexp.report.build import make_report
from gptexp.report.chapters import Evidence, fill_chapters
from gptexp.report.declare import Chapter, Exhibit
from gptexp.report.document import BuiltExhibit
from gptexp.report.exhibits import EXHIBITS, Source, of_study
from gptexp.report.make import Order, make_exhibits
from gptexp.report.tables import results_table
from gptexp.report.workers import start_processes
from gptexp.runs import frames
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from tests.cli.conftest import Call, call
from tests.report.synthetic import initial_loss, lr_ablation, write_runs

__all__ = ["call"]


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two studies, few runs that count as many, on a machine of three cores."""
    write_runs(tmp_path / "runs", [*lr_ablation(seeds=2, max_steps=60), *initial_loss(2)])
    monkeypatch.setattr(workers, "MANY_RUNS", 1)
    monkeypatch.setattr(make, "AT_ONCE", 4)
    monkeypatch.setattr(frames, "LOGS_AT_ONCE", 2)
    monkeypatch.setattr(workers, "count_cores", lambda: 3)
    return tmp_path / "runs"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study", "lesson"])
def test_the_page_has_the_same_bytes(runs_dir: Path, name: str) -> None:
    """Every file, and their order, is that of a report made in one process."""
    with start_processes(runs_dir) as processes:
        assert processes.pool is not None
        in_several = make_report(name, runs_dir=runs_dir, processes=processes).files
    in_one = make_report(name, runs_dir=runs_dir).files
    assert len(in_one) > 20
    assert list(in_several.items()) == list(in_one.items())


@pytest.mark.slow
def test_processes_that_die_are_done_without(runs_dir: Path) -> None:
    """Where the other processes are killed, as by a machine short of memory, this one makes all of it."""
    (study,) = select_studies(load_frames(runs_dir), ["lr-ablation"])
    kinds = ("results", "loss-curves", "lr-schedules", "training", "speed")
    orders = [Order(Exhibit(kind, study.name, slug=kind), Source(study)) for kind in kinds]
    with start_processes(runs_dir) as processes:
        assert processes.pool is not None
        for process in list(processes.pool._processes.values()):
            process.kill()
            process.join()
        made = make_exhibits(orders, processes)
    assert [one.slug for one in made if isinstance(one, BuiltExhibit)] == list(kinds)
    assert made == make_exhibits(orders, ALONE)


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


def test_a_study_may_be_shown_twice(runs_dir: Path) -> None:
    """The second exhibit of a kind gets files and a place of its own; what a study has no data for is said."""
    (study,) = select_studies(load_frames(runs_dir), ["lr-ablation"])
    wanted = tuple(Exhibit(kind, study.name) for kind in ("results", "results", "initial-loss"))
    (chapter,) = fill_chapters([Chapter("c", "C", wanted)], Evidence([study], {study.name: study}))
    first, second, missing = chapter.items
    assert isinstance(first, BuiltExhibit)
    assert isinstance(second, BuiltExhibit)
    assert (first.slug, second.slug) == ("lr-ablation-results", "lr-ablation-results-2")
    assert not {file.path for file in first.files} & {file.path for file in second.files}
    assert "“initial loss” is missing: the runs of lr-ablation@quick hold no data for it." in str(missing)


def test_an_unknown_exhibit_is_one_sentence() -> None:
    """It is found before anything is drawn."""
    chapters = [Chapter("c", "C", (Exhibit("resluts"),))]
    with pytest.raises(GptexpError, match="there is no exhibit 'resluts'; did you mean results"):
        fill_chapters(chapters, Evidence([]))
    with pytest.raises(GptexpError, match="the report names no study for the exhibit 'results'"):
        fill_chapters([Chapter("c", "C", (Exhibit("results"),))], Evidence([]))


def test_an_error_in_an_exhibit_names_it(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a page of many figures, whose code is wrong, and on which study."""
    write_runs(tmp_path / "runs", lr_ablation(max_steps=20))
    monkeypatch.setitem(EXHIBITS, "results", of_study(lambda study: results_table(cast(StudyRuns, None))))
    reply = call("report", "--runs-dir", str(tmp_path / "runs"), "--out", str(tmp_path / "out"))
    words = "internal error, in the exhibit 'results' of lr-ablation@quick, AttributeError: "
    assert (reply.status, words in reply.sentences()[-1]) == (1, True)


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
