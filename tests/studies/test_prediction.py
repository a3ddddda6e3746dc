"""A hypothesis as predicates: what a study may predict, that it is entered before its runs, and what the page says."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.report.predictions import tell_predictions
from gptexp.runs.folders import read_run_folders
from gptexp.runs.frames import Frames, load_frames
from gptexp.runs.packed import LOGS, write_packed
from gptexp.runs.study_runs import StudyRuns, select_studies
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.locate import find_files
from gptexp.studies.plan import plan_runs
from gptexp.studies.prediction import Prediction, decode_predictions, encode_predictions
from gptexp.studies.request import StudyRequest
from gptexp.studies.runner import enter_members
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study, load_study
from tests.studies.tiny import SMALLEST

LOWER = Prediction("Fast ends lower.", "fast:final_train_loss", "below", "slow:final_train_loss")
SETTINGS = {**SMALLEST, "tokenizer": "char", "max_steps": 12, "final_eval": "subset"}


def make(*predictions: Prediction) -> Study:
    arms = (Arm("slow", "slow", {"lr": 1e-4}), Arm("fast", "fast", {"lr": 1e-2}))
    return Study("speeds", "?", "Fast is better.", "", arms, predictions=predictions)


def ask(study: Study, corpus: Path, runs_dir: Path, seeds: int = 3, *, train: bool = True) -> None:
    """What `gptexp run` does: note the members, then train what is not done."""
    planned = plan_runs([StudyRequest(study, find_scale("quick"), seeds, SETTINGS, str(corpus))], runs_dir)
    enter_members(planned)
    for item in planned if train else ():
        run = item.run
        job = Job(run, str(item.run_dir.path), str(corpus), "gptexp", item.member())
        execute(job, [], lambda: False, lambda _: None)


def read(frames: Frames) -> StudyRuns:
    (study,) = select_studies(frames)
    return study


def tell(runs_dir: Path) -> list[tuple[str, str]]:
    return list(tell_predictions(read(load_frames(runs_dir))))


def test_what_was_entered_before_the_runs_is_said_to_be_so(tiny_corpus: Path, tmp_path: Path) -> None:
    """Three seeds decide: right, and the opposite wrong; both with time and hash, from run folders and from a pack."""
    higher = dataclasses.replace(LOWER, says="Fast ends higher.", relation="above")
    ask(make(LOWER, higher), tiny_corpus, tmp_path / "runs")
    found = tell(tmp_path / "runs")
    assert [when for when, _ in found] == ["Predicted before the runs"] * 2
    assert found[0][1].startswith("Fast ends lower. Right: ")
    assert found[1][1].startswith("Fast ends higher. Wrong: ")
    assert "; entered 20" in found[0][1]
    assert ", hash " in found[0][1]
    frames = load_frames(tmp_path / "runs")
    folders, _ = read_run_folders(tmp_path / "runs")
    write_packed(tmp_path / "pack", folders, {name: getattr(frames, name) for name in LOGS}, {})
    assert tell(tmp_path / "pack") == found
    # Asked for again, nothing is written anew.
    before = [path.read_text() for path in sorted((tmp_path / "runs").glob("*/members.jsonl"))]
    ask(make(LOWER, higher), tiny_corpus, tmp_path / "runs", train=False)
    assert [path.read_text() for path in sorted((tmp_path / "runs").glob("*/members.jsonl"))] == before


def test_what_was_written_or_changed_afterwards_shows(tiny_corpus: Path, tmp_path: Path) -> None:
    """A study without predictions says nothing; one that gets them when its runs are there was written afterwards; one
    that had others then was changed, also where it gets the first ones back."""
    ask(make(), tiny_corpus, tmp_path / "late", 1)
    assert tell(tmp_path / "late") == []
    ask(make(LOWER), tiny_corpus, tmp_path / "late", 1)
    ((when, sentence),) = tell(tmp_path / "late")
    assert when == "Written afterwards"
    assert "Undecided: " in sentence
    assert "1 seed can't decide it" in sentence
    ask(make(LOWER), tiny_corpus, tmp_path / "changed", 1)
    narrower = dataclasses.replace(LOWER, tolerance=0.5)
    ask(make(narrower), tiny_corpus, tmp_path / "changed", 1)
    assert [when for when, _ in tell(tmp_path / "changed")] == ["Changed after the first runs"]
    ask(make(LOWER), tiny_corpus, tmp_path / "changed", 1)
    assert [when for when, _ in tell(tmp_path / "changed")] == ["Changed after the first runs"]


def test_seeds_that_were_there_before_count(tiny_corpus: Path, tmp_path: Path) -> None:
    """Whoever has seen the first seed has not predicted the study, whatever comes after; a change before any run is
    none."""
    ask(make(), tiny_corpus, tmp_path / "seen", 1)
    ask(make(LOWER), tiny_corpus, tmp_path / "seen", 2)
    assert [when for when, _ in tell(tmp_path / "seen")] == ["Written afterwards"]
    ask(make(dataclasses.replace(LOWER, tolerance=0.5)), tiny_corpus, tmp_path / "planned", 1, train=False)
    ask(make(LOWER), tiny_corpus, tmp_path / "planned", 1)
    assert [when for when, _ in tell(tmp_path / "planned")] == ["Predicted before the runs"]


def test_an_edited_record_is_no_prediction(tiny_corpus: Path, tmp_path: Path) -> None:
    """A line whose predictions aren't those of its hash says nothing."""
    ask(make(LOWER), tiny_corpus, tmp_path, 1)
    for path in tmp_path.glob("*/members.jsonl"):
        row = json.loads(path.read_text())
        row.pop("seal")
        row["predictions"] = row["predictions"].replace("below", "above")
        path.write_text(json.dumps(row) + "\n")
    assert tell(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantity": "quick:final_train_loss"}, "there is no arm 'quick'"),
        ({"other": "slow:final_train_los"}, "did you mean final_train_loss"),
        ({"relation": "under"}, "expected one of about, below, above, happens, never"),
        ({"other": ""}, "below needs a quantity and one of other and stated"),
        ({"quantity": ""}, "has no quantity"),
        ({"says": 3}, "says=3; expected a text"),
        ({"tolerance": math.nan}, "tolerance=nan; expected a finite number"),
        ({"other": "", "stated": math.inf}, "stated=inf; expected a finite number"),
        ({"other": "", "stated": "low"}, "stated='low'; expected a finite number"),
        ({"says": "x" * 5_000}, "characters in the records, and 4,000 are the most"),
        ({"relation": "never"}, "never needs a quantity and neither other and stated"),
    ],
)
def test_what_no_run_can_decide_is_refused(change: dict[str, Any], message: str) -> None:
    """When the study is made, with the reason."""
    with pytest.raises(GptexpError, match=message):
        make(dataclasses.replace(LOWER, **change))
    with pytest.raises(GptexpError, match="expected a tuple of Prediction"):
        make("Fast ends lower.")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["", "[", "{}", '[{"says": 1}]', '[{"says": "", "quantity": "", "relation": "under"}]', "[" * 100_000, "x" * 5_000],
)
def test_strange_records_predict_nothing(text: str) -> None:
    """What others wrote into a record stops no page."""
    assert decode_predictions(text) == ()


def test_predictions_come_back_as_they_were() -> None:
    """Through the text of the records; none makes no text, so that records of other studies stay as they are."""
    predictions: Sequence[Prediction] = (LOWER, Prediction("It stays.", "slow:diverged", "never"))
    assert decode_predictions(encode_predictions(predictions)) == tuple(predictions)
    assert encode_predictions(()) == ""


def test_shipped_studies_predict_what_their_hypotheses_say() -> None:
    """Those whose hypothesis can be checked have predictions; each is whole sentences about arms that exist."""
    studies = [load_study(name) for name in find_files("experiments")]
    assert sum(bool(study.predictions) for study in studies) >= 15
    for study in studies:
        assert all(one.says.endswith(".") for one in study.predictions), study.name
