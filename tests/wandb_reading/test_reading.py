"""A report from W&B and one from the run folders are the same report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gptexp.mirrors.wandb_rows import make_row
from gptexp.records import SampleRecord
from gptexp.report.build import build_report
from gptexp.report.predictions import tell_predictions
from gptexp.runs import wandb_api
from gptexp.runs.folders import read_run_folders
from gptexp.runs.frames import load_frames
from gptexp.runs.packed import LOGS, write_packed
from gptexp.runs.study_runs import select_studies
from gptexp.studies.prediction import Prediction, encode_predictions, hash_predictions
from gptexp.studies.study import Arm, Study
from tests.report.synthetic import Run, append_member, initial_loss, lr_ablation, write_run, write_runs
from tests.wandb_reading.conftest import Account
from tests.wandb_reading.project import (
    add_rows,
    assert_same_frames,
    foreign_run,
    mirror_run,
    typed_records,
)

SAMPLES = (
    SampleRecord(0, "initial", None, None, "\n", "\nNaN"),
    SampleRecord(60, "loss", 4.0, 3.9, "\n", "\nO Romeo \u2014 \u00bd"),
    SampleRecord(120, "final", None, 3.25, "\n", "\n\x00\U0001f600"),
)


def study_runs() -> list[Run]:
    """A study with a diverged arm, one that is under way, samples, and an outlier batch."""
    runs = lr_ablation()
    runs[0].diverge_at = 50
    runs[1].stop_at = 70
    runs[2].samples = SAMPLES
    runs[3].config["outlier_at"] = 0.5
    return [*runs, *initial_loss(1)]


def test_frames_are_those_of_the_run_folders(account: Account, tmp_path: Path) -> None:
    """They agree cell for cell: NaN, infinities, texts that look like them, an unfinished run, an outlier batch."""
    for run_id in write_runs(tmp_path, study_runs()):
        mirror_run(account.server.store, tmp_path / run_id)
    fetched = account.fetch()
    assert_same_frames(load_frames(tmp_path), load_frames(fetched.folder, fetched.run_ids))


@pytest.mark.slow
def test_the_page_is_that_of_the_run_folders(account: Account, tmp_path: Path) -> None:
    """Figures, tables, manifest and page agree byte for byte: nothing in them says where the records were read."""
    runs_dir = tmp_path / "runs"
    for run_id in write_runs(runs_dir, study_runs()):
        mirror_run(account.server.store, runs_dir / run_id)
    fetched = account.fetch()
    build_report(None, runs_dir=runs_dir, out=tmp_path / "local")
    build_report(None, runs_dir=fetched.folder, out=tmp_path / "read", run_ids=fetched.run_ids)
    local = sorted(path.relative_to(tmp_path / "local") for path in (tmp_path / "local").rglob("*") if path.is_file())
    assert len(local) > 10
    for path in local:
        assert (tmp_path / "read" / path).read_bytes() == (tmp_path / "local" / path).read_bytes(), path


def test_a_history_of_5000_steps_comes_whole(account: Account, tmp_path: Path) -> None:
    """All rows in pages, none sampled: the server has no sampled history to offer."""
    run_id = write_run(tmp_path, lr_ablation(max_steps=5000)[3])
    mirror_run(account.server.store, tmp_path / run_id)
    fetched = account.fetch()
    read = load_frames(fetched.folder)
    assert len(read.steps) == 5000
    assert_same_frames(load_frames(tmp_path), read)
    assert account.view.rows[run_id] == (len(typed_records(tmp_path / run_id)),) * 2


def test_of_a_resumed_run_the_newest_rows_count(account: Account, tmp_path: Path) -> None:
    """A kill at step 80 and a resume from the checkpoint at 60 leave rows twice; the run folder holds the second."""
    run_id = write_run(tmp_path, lr_ablation()[3])
    records = typed_records(tmp_path / run_id)
    mirror = mirror_run(account.server.store, tmp_path / run_id, rows=0)
    first = [make_row(record) for record in records if record.step <= 80]
    stale = [{**row, "step_time_s": 9.0} if "train_loss" in row and row["step"] > 60 else row for row in first]
    add_rows(mirror, [*stale, *(make_row(record) for record in records if record.step > 60)])
    whole = mirror_run(account.server.store, tmp_path / run_id)
    whole.rows = mirror.rows
    fetched = account.fetch()
    assert_same_frames(load_frames(tmp_path), load_frames(fetched.folder))


def test_a_second_reading_fetches_only_what_is_new(account: Account, tmp_path: Path) -> None:
    """Nothing new costs one listing and no history; a run that grew costs its new rows; the rest stays untouched."""
    grown, still = write_runs(tmp_path, lr_ablation()[:2])
    mirror = mirror_run(account.server.store, tmp_path / grown, rows=40)
    mirror_run(account.server.store, tmp_path / still)
    account.fetch()
    assert account.count_calls("HistoryPage") == 2
    account.fetch()
    assert account.server.store.calls == ["Viewer", "GetDefaultEntity", "Runs"]
    add_rows(mirror, [make_row(record) for record in typed_records(tmp_path / grown)][40:])
    done = mirror_run(account.server.store, tmp_path / grown)
    done.rows, done.created_at = mirror.rows, mirror.created_at
    fetched = account.fetch()
    assert set(account.view.rows) == {grown}
    assert account.view.rows[grown] == (len(done.rows) - 40, len(done.rows) - 40)
    assert_same_frames(load_frames(tmp_path), load_frames(fetched.folder))


def test_a_membership_that_came_later_is_read_without_the_history(account: Account, tmp_path: Path) -> None:
    """When another study asks for a done run, its config changes in W&B; the cached history is still good."""
    run_id = write_run(tmp_path, Run("a"))
    before = mirror_run(account.server.store, tmp_path / run_id)
    account.fetch()
    write_run(tmp_path / "other", Run("b", study="clipping"))
    (other,) = (tmp_path / "other").iterdir()
    with (tmp_path / run_id / "members.jsonl").open("a") as file:
        file.write((other / "members.jsonl").read_text())
    after = mirror_run(account.server.store, tmp_path / run_id)
    after.rows, after.created_at, after.heartbeat_at = before.rows, before.created_at, before.heartbeat_at
    fetched = account.fetch()
    assert account.count_calls("HistoryPage") == 0
    assert set(load_frames(fetched.folder).members["study"]) == {"lr-ablation", "clipping"}


def test_many_runs_come_in_pages_and_others_are_counted(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs beyond the first page are read; those of other origin are left out with a note, whatever their names."""
    monkeypatch.setattr(wandb_api, "PAGE_RUNS", 10)
    runs = [Run("a", seed=seed, config={"max_steps": 4}) for seed in range(20)]
    for run_id in write_runs(tmp_path / "runs", runs):
        mirror_run(account.server.store, tmp_path / "runs" / run_id)
    names = ["other", "0123456789ab", "..", "../../../escaped", "/etc", "a/b"]
    for name in names:
        foreign_run(account.server.store, name, lr=0.1)
    foreign_run(account.server.store, "odd", gptexp={"run_id": "../../escaped", "files": {"config": "{}"}})
    fetched = account.fetch()
    assert account.count_calls("Runs") == 3
    assert len(fetched.run_ids) == 20
    assert fetched.notes == ["7 runs of other origin in tester/studies are left out."]
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert written == {"runs", "home", "cache"}
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"wandb"}
    assert not list(tmp_path.rglob("*escaped*"))


def test_filters_choose_runs(account: Account, tmp_path: Path) -> None:
    """Group and tag are left to the server; a study is every run that it asked for, and other histories stay there."""
    clipping = Run("clipped", study="clipping", scale="char")
    a, b = write_runs(tmp_path, [Run("a"), clipping])
    for run_id in (a, b):
        mirror_run(account.server.store, tmp_path / run_id)
    assert account.fetch(studies=("clipping",)).run_ids == {b}
    assert account.count_calls("HistoryPage") == 1
    assert account.fetch(groups=("lr-ablation/quick",)).run_ids == {a}
    assert account.fetch(tags=("char", "nothing")).run_ids == {b}
    assert account.fetch(tags=("char",), studies=("clipping",)).run_ids == {b}
    with pytest.raises(Exception, match="no runs of gptexp that fit study clipping and tag quick"):
        account.fetch(tags=("quick",), studies=("clipping",))


def test_of_several_mirrors_the_done_one_counts(account: Account, tmp_path: Path) -> None:
    """A run may be in W&B under its own id and as a sweep's trial; it is one run."""
    run_id = write_run(tmp_path, Run("a"))
    mirror_run(account.server.store, tmp_path / run_id, name="trial1")
    local = load_frames(tmp_path)
    mirror_run(account.server.store, tmp_path / run_id, rows=3)
    fetched = account.fetch()
    assert fetched.run_ids == {run_id}
    assert_same_frames(local, load_frames(fetched.folder))


@pytest.mark.parametrize("says", ["The ratio a / b falls.", "It is lower than in /home/alice/notes.", "½ \x00 of it."])
def test_predictions_come_with_their_hash(account: Account, tmp_path: Path, says: str) -> None:
    """From W&B and from a pack the page says of them what it says from the run folders, and names no folder."""
    study = make_study(Prediction(says, "a:final_train_loss", "below", "b:final_train_loss"))
    write_predicted(tmp_path / "runs", study, [("a", 1), ("a", 2), ("b", 1), ("b", 2)])
    for folder in (tmp_path / "runs").iterdir():
        mirror_run(account.server.store, folder)
    frames = load_frames(tmp_path / "runs")
    (local,) = select_studies(frames)
    told = list(tell_predictions(local))
    assert [when for when, _ in told] == ["Predicted before the runs"]
    assert "alice" not in told[0][1]
    folders, _ = read_run_folders(tmp_path / "runs")
    write_packed(tmp_path / "pack", folders, {name: getattr(frames, name) for name in LOGS}, {})
    for read in (load_frames(account.fetch().folder), load_frames(tmp_path / "pack")):
        assert_same_frames(frames, read)
        assert list(tell_predictions(select_studies(read)[0])) == told
    assert "alice" not in (tmp_path / "pack" / "runs.json").read_text()


def test_how_predictions_changed_comes_too(account: Account, tmp_path: Path) -> None:
    """Others that were entered before the runs, and those that came after them, are still told."""
    first, second = (make_study(Prediction(says, "a:final_train_loss", "below", stated=9.0)) for says in "12")
    write_predicted(tmp_path / "runs", first, [("a", 1)])
    (folder,) = (tmp_path / "runs").iterdir()
    add_prediction(folder, second, ("a", 1), "2025-02-01T00:00:00Z")
    mirror_run(account.server.store, folder)
    (study,) = select_studies(load_frames(account.fetch().folder))
    assert [when for when, _ in tell_predictions(study)] == ["Changed after the first runs"]


def make_study(*predictions: Prediction) -> Study:
    arms = (Arm("a", "a"), Arm("b", "b"))
    return Study("predicted", "?", "", "", arms, predictions=predictions)


def write_predicted(runs_dir: Path, study: Study, places: list[tuple[str, int]]) -> None:
    """Runs of a study whose predictions were entered a minute before each of them began."""
    for arm, seed in places:
        run_id = write_run(runs_dir, Run(arm, seed=seed, study=study.name, floor=2.0 if arm == "a" else 3.0))
        (runs_dir / run_id / "members.jsonl").unlink()
        add_prediction(runs_dir / run_id, study, (arm, seed), "2025-01-01T00:00:00Z")


def add_prediction(folder: Path, study: Study, place: tuple[str, int], asked_at: str) -> None:
    """The line that a plan of the study enters."""
    about = Run(place[0], seed=place[1], study=study.name, asked_at=asked_at)
    append_member(folder, about)
    lines = (folder / "members.jsonl").read_text().splitlines()
    text = encode_predictions(study.predictions)
    row = {**json.loads(lines[-1]), "predictions": text, "prediction_hash": hash_predictions(text)}
    (folder / "members.jsonl").write_text("".join(f"{line}\n" for line in [*lines[:-1], json.dumps(row)]))
