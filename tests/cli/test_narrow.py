"""Tables in a terminal of 80 columns: names give way, ids, outcomes and numbers don't."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from gptexp.cli.comparison_table import MOST_NOTES, print_comparison
from gptexp.cli.console import make_console
from gptexp.cli.live import StudyView
from gptexp.cli.sweep_view import SweepView
from gptexp.studies.events import StepEvent
from gptexp.studies.plan import PlannedRun, plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from gptexp.studies.sweep.journal import TrialRow
from gptexp.studies.sweep.ranking import Importance
from tests.cli.conftest import TINY, Call, strip_styles
from tests.report.synthetic import lr_ablation, write_runs
from tests.studies.sweeps import make_sweep

WIDTH = 80


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of that width, as rich finds one."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


def make_plan(corpus: Path, seeds: int = 1) -> list[PlannedRun]:
    arms = (Arm("warmup-cosine", "warmup + cosine to 6e-5"), Arm("constant", "constant 3e-4", {"lr": 3e-4}))
    study = Study(name="narrow", question="Who gives way?", hypothesis="", source="", arms=arms)
    return plan_runs([StudyRequest(study, find_scale("quick"), seeds, TINY, str(corpus))], Path("nowhere"))


def make_result(**changes: object) -> SimpleNamespace:
    """As much of a result as a table shows."""
    usual = {
        "outcome": "completed",
        "outcome_detail": "6 steps",
        "last_step": 6,
        "flags": {},
        "final_train_loss": 2.928,
        "final_val_loss": 2.849,
        "best_val_loss": 2.85,
        "clipped_fraction": 0.93,
        "duration_s": 13.0,
    }
    return SimpleNamespace(**{**usual, **changes})


def test_a_list_keeps_ids_outcomes_and_losses(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is one line of the terminal; the flags of none are no column."""
    # `call` has set its own.
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    ids = write_runs(tmp_path, lr_ablation())
    rows = call("runs", "list", "--runs-dir", str(tmp_path), "--json").json()
    lines = strip_styles(call("runs", "list", "--runs-dir", str(tmp_path), "--measure", "lr").out)
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) == len(ids) + 1
    for row, line in zip(rows, lines[1:], strict=True):
        for text in (row["run_id"], row["outcome"], str(row["last_step"]), str(row["seed"])):
            assert text in line.split()
        assert f"{row['final_train_loss']:.3f}" in line or row["outcome"] == "diverged"
    assert ("flags" in lines[0]) is any(row["flags"] for row in rows)


def test_results_keep_ids_and_outcomes(tiny_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A word in the table; where it diverged and what its flags mean stand below, for some runs."""
    planned = make_plan(tiny_corpus)
    first, second = planned
    ends = {"final_val_loss": 2.849, "bigram_loss": 2.486}
    diverged = {"outcome": "diverged", "diverged_step": 4, "diverged_where": "blocks.1", "last_finite_train_loss": 9.0}
    results = {
        first.run.run_id: make_result(flags={"above-bigram": ends}),
        second.run.run_id: make_result(**diverged),
    }
    print_comparison(planned, results)  # type: ignore[arg-type]
    lines = strip_styles(capsys.readouterr().out)
    table, notes = [line for line in lines if line[:2] != "- "], [line[2:] for line in lines if line[:2] == "- "]
    assert max(map(len, table)) <= WIDTH
    rows = [line.split() for line in table if any(item.run.run_id in line for item in planned)]
    assert [row[-2:] for row in rows] == [[first.run.run_id, "completed"], [second.run.run_id, "diverged"]]
    assert notes[0].startswith("warmup + cosine to 6e-5, seed 1337: learned less than a bigram model: ended at 2.849")
    assert "diverged at step 4 in blocks.1; last finite train loss 9.000" in notes[1]
    assert len(table) <= 10


def test_not_every_run_gets_a_note(tiny_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of many runs with something to say the last line counts those that were left out."""
    planned = make_plan(tiny_corpus, seeds=MOST_NOTES)
    failed = make_result(outcome="failed", outcome_detail="its process died")
    print_comparison(planned, {item.run.run_id: failed for item in planned})  # type: ignore[misc]
    notes = capsys.readouterr().out.split("\n- ")[1:]
    assert len(notes) == MOST_NOTES + 1
    assert notes[-1].startswith(f"and {MOST_NOTES} runs more")


def test_what_is_trained_keeps_steps_and_losses(tiny_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The live table: the step, the losses and what is left, whole, beside a shorter bar."""
    planned = make_plan(tiny_corpus)
    console = make_console()
    view = StudyView(planned, console)
    run_id = planned[0].run.run_id
    event = StepEvent(step=0, train_loss=None, lr=None, tokens_per_sec=None, val_loss=None, is_eval=False)
    view.on_event(run_id, event)
    end = {"step": 6, "train_loss": 3.125, "val_loss": 3.047, "lr": 6e-4, "tokens_per_sec": 12_345.0}
    view.on_event(run_id, dataclasses.replace(event, **end))
    console.print(view._table())
    lines = strip_styles(capsys.readouterr().out)
    assert max(map(len, lines)) <= WIDTH
    for text in ("6/6", "3.125", "3.047", "6.0e-04", "12,345", "evaluating"):
        assert text in lines[1].split(), lines[1]
    assert "waiting" in lines[2]


def test_nothing_is_drawn_of_runs_that_are_done() -> None:
    """No heading of a table without rows."""
    assert StudyView([], make_console())._live is None


@pytest.mark.parametrize(("width", "in_columns"), [(80, True), (60, False)])
def test_a_sweep_keeps_values_and_ids(
    tmp_path: Path,
    tiny_corpus: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    in_columns: bool,
) -> None:
    """Headings take several lines; where the parameters still find no room, one column has all of them."""
    monkeypatch.setenv("COLUMNS", str(width))
    searched = {"lr": [3e-3, 1e-3], "warmup_steps": [0, 3], "grad_clip": [0.5, None], "weight_decay": [0.1, 0.0123]}
    sweep = make_sweep(tmp_path, tiny_corpus, parameters={name: {"values": own} for name, own in searched.items()})
    settings = {name: own[1] for name, own in searched.items()}
    about = {"run_id": "0775081dd66e", "duration_s": 5.0, "detail": ""}
    rows = [TrialRow(1, settings, "completed", 10.625, about)]
    SweepView(sweep).print_ranking(rows, Importance({}, "one trial"), tmp_path, None)
    lines = strip_styles(capsys.readouterr().out)
    table = lines[1 : next(number for number, line in enumerate(lines) if line.startswith("Importance"))]
    row = next(line.split() for line in table if "0775081dd66e" in line)
    assert max(map(len, table)) <= width
    assert row[row.index("10.625") :][:5] == ["10.625", "5", "s", "0775081dd66e", "completed"]
    values = ["0.001", "3", "None", "0.0123"]
    assert (row[2:6] == values) is in_columns
    assert in_columns or "lr=0.001" in row
