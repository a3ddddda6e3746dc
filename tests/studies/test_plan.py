"""The plan says of every run where it stands, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gptexp.runs.folders import current_members, read_run_folders
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.plan import PlannedRun, plan_runs
from gptexp.studies.request import StudyRequest, make_requests
from gptexp.studies.scales import SCALES
from gptexp.studies.study import Arm, Study
from gptexp.training.checkpoint import list_checkpoints
from gptexp.version import ENGINE_VERSION
from tests.studies.tiny import TINY

STUDY = Study("tiny", "?", "", "", (Arm("a", "a", {"lr": 1e-3}), Arm("b", "b", {"lr": 2e-3})), settings=TINY)


def make_plan(runs_dir: Path, corpus: Path) -> list[PlannedRun]:
    return plan_runs([StudyRequest(STUDY, SCALES["quick"], 1, {}, str(corpus))], runs_dir)


PUBLISHED = Path(__file__).parents[2] / "reports" / "published" / "2026-11" / "records" / "runs.json"


def test_what_decides_nothing_defines_no_other_study(tmp_path: Path, tiny_corpus: Path) -> None:
    """Another checkpoint_interval on the command line: the earlier runs of the study still count."""
    for seeds, overrides in ((3, {}), (1, {"checkpoint_interval": 10})):
        for item in plan_runs([StudyRequest(STUDY, SCALES["quick"], seeds, overrides, str(tiny_corpus))], tmp_path):
            item.run_dir.append_member(item.member())
            item.run_dir.write_config(item.run.content)
    folders, damaged = read_run_folders(tmp_path)
    assert not damaged
    assert len(current_members(folders)) == 6


@pytest.mark.parametrize(
    ("study", "scale", "variant"),
    [
        ("lr-ablation", "quick", {}),
        ("horizon", "char", {}),
        ("initial-loss", "lesson", {}),
        ("lesson-rates", "lesson", {"compile": True}),
    ],
)
def test_definitions_are_those_of_published_records(study: str, scale: str, variant: dict[str, Any]) -> None:
    """A run of today joins the published ones of its study, with an override that decides nothing or without."""
    members = [member for run in json.loads(PUBLISHED.read_text())["runs"] for member in run["members"]]
    wanted = (study, scale, variant)
    published = {row["definition"] for row in members if (row["study"], row["scale"], row["variant"]) == wanted}
    for overrides in ({}, {"checkpoint_interval": 7}):
        (request,) = make_requests([study], scale, None, {**variant, **overrides}, None)
        assert {request.definition} == published


def train_job(item: PlannedRun, corpus: Path, steps: int | None = None) -> None:
    job = Job(item.run, str(item.run_dir.path), str(corpus), "test", {})
    item.run_dir.append_member(item.member())
    stops = iter([False] * ((steps or 99) - 1) + [True])
    execute(job, [], lambda: next(stops), lambda message: None)


def test_new_resumable_done(tmp_path: Path, tiny_corpus: Path) -> None:
    """A run goes from new over resumable (from its step) to done."""
    first, second = make_plan(tmp_path, tiny_corpus)
    assert (first.status, first.from_step, first.remaining_steps) == ("new", 0, 12)
    train_job(first, tiny_corpus, 7)
    first, second = make_plan(tmp_path, tiny_corpus)
    assert (first.status, first.from_step, first.remaining_steps) == ("resumable", 7, 5)
    assert "interrupted: stopped after step 7" in first.why
    assert second.status == "new"
    train_job(first, tiny_corpus)
    first, _ = make_plan(tmp_path, tiny_corpus)
    assert (first.status, first.why, first.remaining_steps) == ("done", "completed, 12 steps", 0)


@pytest.mark.parametrize("file", ["config.json", "result.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", None])
def test_damaged_files_are_named_and_mended(
    tmp_path: Path, tiny_corpus: Path, file: str, content: bytes | None
) -> None:
    """An unreadable config or result makes that run `damaged` with the reason; running it again mends it."""
    first, _ = make_plan(tmp_path, tiny_corpus)
    train_job(first, tiny_corpus)
    losses = first.run_dir.records.read_text().count("train_loss")
    path = first.run_dir.path / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    first, second = make_plan(tmp_path, tiny_corpus)
    if file == "result.json" and content is None:
        assert first.status == "resumable"
    else:
        assert first.status == "damaged"
        assert file in first.why
    assert second.status == "new"
    train_job(first, tiny_corpus)
    first, _ = make_plan(tmp_path, tiny_corpus)
    assert first.status == "done"
    assert first.run_dir.records.read_text().count("train_loss") == losses


def test_runs_of_an_older_engine_are_stale(tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same arm and seed made by another engine version doesn't count, and the plan says so."""
    older, _ = make_plan(tmp_path, tiny_corpus)
    train_job(older, tiny_corpus)
    for module in ("plan", "resolve"):
        monkeypatch.setattr(f"gptexp.studies.{module}.ENGINE_VERSION", 99)
    first, second = make_plan(tmp_path, tiny_corpus)
    assert first.status == "stale"
    assert f"run {older.run.run_id} was made by engine version {ENGINE_VERSION}, this is 99" in first.why
    assert second.status == "new"


def test_a_result_is_written_before_the_optimizer_goes(
    tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies while writing the result loses nothing: the run goes on from its last step."""
    first, _ = make_plan(tmp_path, tiny_corpus)

    def die(*_: object) -> None:
        raise SystemError("pulled the plug")

    with monkeypatch.context() as patch:
        patch.setattr("gptexp.tracking.run_dir.RunDir.write_result", die)
        with pytest.raises(SystemError):
            train_job(first, tiny_corpus)
    newest = list_checkpoints(first.run_dir.checkpoints)[0]
    assert newest.name == "step-00000012"
    assert (newest / "optimizer.safetensors").exists()
    first, _ = make_plan(tmp_path, tiny_corpus)
    assert (first.status, first.from_step) == ("resumable", 12)
