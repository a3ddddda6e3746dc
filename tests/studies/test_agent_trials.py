"""The runs that agents of a W&B sweep train: one study of the sweep, its points ranked as those of `gptexp sweep`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from gptexp.cli.assignments import read_request
from gptexp.cli.train import request_run
from gptexp.comparisons.ranking import AMONG_THE_BEST, NOT_COMPARED, WORSE
from gptexp.report.repeat import write_repeat
from gptexp.report.sweep_points import list_points, points_table, rank_sweep
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.runner import enter_members
from gptexp.studies.scales import find_scale
from gptexp.studies.sweep.journal import SweepJournal, hold_session
from gptexp.studies.sweep.points import shorten_points
from tests.report.synthetic import Run, write_run
from tests.studies.sweeps import make_sweep
from tests.studies.test_sweep import work
from tests.studies.tiny import TINY

FIXED = {**TINY, "max_steps": 2, "schedule": "constant"}


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a trial of the sweep abc123."""
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc123")


def ask(corpus: Path, **settings: Any) -> StudyRequest:
    """What `gptexp train` asks for, given these settings by an agent."""
    overrides = dict(settings)
    return request_run(find_scale("quick"), overrides.pop("seed"), overrides, str(corpus))


def read_sweep(runs_dir: Path) -> StudyRuns:
    (study,) = (one for one in select_studies(load_frames(runs_dir)) if one.name == "sweep/abc123")
    return study


def write_trials(runs_dir: Path, **changes: Any) -> None:
    """Three points of three seeds; the first two are near each other."""
    for lr, floor in ((0.001, 2.0), (0.002, 2.001), (0.1, 2.5)):
        for seed in (1, 2, 3):
            label = f"n_layer=2, lr={lr}, optimizer=adamw"
            about: dict[str, Any] = {"study": "sweep/abc123", "definition": "abc123", "config": {"lr": lr}, **changes}
            write_run(runs_dir, Run(label.replace(", ", ","), label, seed, floor=floor + seed / 10, **about))


@pytest.mark.usefixtures("agent")
def test_the_trials_of_a_sweep_are_one_study(tiny_corpus: Path) -> None:
    """Their arms are points, seeds aside, under one definition, and their runs are those of `gptexp train`."""
    requests = [ask(tiny_corpus, **{**FIXED, "lr": lr}, seed=seed) for lr in (1e-3, 1e-2) for seed in (1, 2)]
    assert {request.study.name for request in requests} == {"sweep/abc123"}
    assert len({request.definition for request in requests}) == 1
    assert len({request.study.arms[0].name for request in requests}) == 2
    assert [request.seed_values(request.study.arms[0]) for request in requests] == [[1], [2]] * 2


def test_an_agents_run_has_the_id_of_any_other(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for it; by hand it belongs to no sweep."""
    asked = ask(tiny_corpus, **FIXED, seed=1)
    assert asked.study.name == "train"
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc123")
    by_agent = ask(tiny_corpus, **FIXED, seed=1)
    (one,), (other,) = plan_runs([asked], tmp_path), plan_runs([by_agent], tmp_path)
    assert one.run.run_id == other.run.run_id


@pytest.mark.usefixtures("agent")
def test_gptexp_sweep_ranks_what_agents_have_trained(tiny_corpus: Path, tmp_path: Path) -> None:
    """The same file, its trials there already: `gptexp sweep` trains nothing and prints the points with intervals."""
    parameters = {"lr": {"values": [1e-3, 1e-2]}, "seed": {"values": [1, 2, 3]}}
    sweep = make_sweep(tmp_path, tiny_corpus, parameters=parameters)
    fixed = {name: value for name, value in sweep.file.settings.items() if name != "corpus"}
    for lr in (1e-3, 1e-2):
        for seed in (1, 2, 3):
            (item,) = plan_runs([ask(tiny_corpus, **fixed, lr=lr, seed=seed)], tmp_path)
            enter_members([item])
            run = item.run
            job = Job(run, str(item.run_dir.path), str(tiny_corpus), "gptexp train", item.member())
            execute(job, [], lambda: False, lambda _: None)
    before = [path.read_text() for path in sorted(tmp_path.glob("*/provenance.jsonl"))]
    with hold_session(sweep.folder) as session:
        work(sweep, session)
        printed = list_points(rank_sweep(sweep, SweepJournal(sweep, session).rows()))
    assert [path.read_text() for path in sorted(tmp_path.glob("*/provenance.jsonl"))] == before
    assert [row["seeds"] for row in printed] == [3, 3]
    assert all(row["low"] < row["mean"] < row["high"] for row in printed)
    table = points_table(read_sweep(tmp_path))
    assert table is not None
    columns = ["point", "mean", "low", "high", "against_best"]
    assert table.data[columns].to_dict("records") == [{name: row[name] for name in columns} for row in printed]
    # The page says how a trial is made again, and that is this trial.
    study = read_sweep(tmp_path)
    for _, row in study.runs.iterrows():
        words = shlex.split(write_repeat(study, row))
        assert words[:4] == ["gptexp", "train", "--scale", "quick"]
        overrides = dict(read_request(words[4:]).overrides)
        asked = request_run(find_scale("quick"), overrides.pop("seed"), overrides, str(tiny_corpus))
        assert plan_runs([asked], tmp_path)[0].run.run_id == row["run_id"]


def test_the_page_ranks_the_points_of_agents(tmp_path: Path) -> None:
    """Points are called by what differs between them; one that can't be told from the best is said to be so."""
    write_trials(tmp_path)
    table = points_table(read_sweep(tmp_path))
    assert table is not None
    words = dict(zip(table.data["point"], table.data["against_best"], strict=True))
    assert words == {"lr=0.001": "best", "lr=0.002": AMONG_THE_BEST, "lr=0.1": WORSE}


def test_a_trial_that_still_runs_costs_nobody_the_ranking(tmp_path: Path) -> None:
    """Its point waits behind the others, and is not said to have lost a seed; the others are compared."""
    write_trials(tmp_path)
    label = "n_layer=2, lr=0.5, optimizer=adamw"
    about: dict[str, Any] = {"study": "sweep/abc123", "definition": "abc123", "config": {"lr": 0.5}}
    for seed, stop in ((1, None), (2, None), (3, 5)):
        write_run(tmp_path, Run(label.replace(", ", ","), label, seed, floor=1.0, stop_at=stop, **about))
    table = points_table(read_sweep(tmp_path))
    assert table is not None
    rows = table.data.set_index("point")
    assert rows.loc["lr=0.5", ["seeds", "lost", "against_best"]].tolist() == [2, 0, NOT_COMPARED]
    assert rows["against_best"].tolist() == ["best", AMONG_THE_BEST, WORSE, NOT_COMPARED]


def test_points_are_called_by_what_differs() -> None:
    """Settings that all points share are left out; a single point keeps its name."""
    assert shorten_points(["lr=1, betas=[0.9, 0.95]", "lr=2, betas=[0.9, 0.95]"]) == ["lr=1", "lr=2"]
    assert shorten_points(["lr=1, betas=[0.9, 0.95]", "lr=1, betas=[0.9, 0.99]"]) == [
        "betas=[0.9, 0.95]",
        "betas=[0.9, 0.99]",
    ]
    assert shorten_points(["lr=1"]) == ["lr=1"]
    assert shorten_points([]) == []
