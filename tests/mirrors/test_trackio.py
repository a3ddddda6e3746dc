"""trackio, the real library, with its data in a folder of the test's own."""

from __future__ import annotations

import importlib.util
import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.mirrors.trackio import TrackioSettings, choose_settings
from gptexp.studies.execute import execute
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.runner import run_plan
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from tests.studies.tiny import TINY, make_job
from tests.wandb.test_asked_again import InProcess, View

needs_trackio = pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio is not installed")
STUDY = Study("again", "Is it mirrored?", "yes", "", arms=(Arm("one", "one"), Arm("two", "two", {"beta2": 0.9})))
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def trackio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library, which chooses its folder when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(tmp_path_factory.mktemp("trackio")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield pytest.importorskip("trackio")


@pytest.fixture
def settings(trackio: Any) -> TrackioSettings:
    """Trackio, with a project that is empty."""
    return TrackioSettings(f"tests-{next(NUMBERS)}")


def read_rows(settings: TrackioSettings, run_id: str) -> list[dict[str, Any]]:
    """The rows of the one run of a project that has this id in its name."""
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    (run,) = [run for run in trackio.Api().runs(settings.project) if run.name.endswith(run_id)]
    return SQLiteStorage.get_logs(settings.project, run.name, run_id=run.id)


def assert_equal_to_records(rows: list[dict[str, Any]], run_dir: Path) -> None:
    """Every record has its row, in order and with its numbers; the last row is the result."""
    records = [json.loads(line) for line in (run_dir / "records.jsonl").read_text().splitlines()]
    result = json.loads((run_dir / "result.json").read_text())
    assert len(rows) == len(records) + 1
    for row, record in zip(rows, records, strict=False):
        prefix = {"sample": "sample_", "event": "event_"}.get(record["kind"], "final_" if record.get("whole") else "")
        told = {name: value for name, value in record.items() if name not in ("kind", "step", "whole")}
        expected = {f"{prefix}{name}": value for name, value in told.items() if value is not None}
        assert row["step"] == record["step"]
        assert {name: value for name, value in row.items() if name not in ("step", "timestamp")} == expected
    assert {record["kind"] for record in records} >= {"step", "eval", "sample"}
    assert rows[-1]["result/final_val_loss"] == result["final_val_loss"]
    texts = [sample["text"] for sample in rows[-1]["samples"]["_value"]]
    assert texts == [record["text"] for record in records if record["kind"] == "sample"]


@needs_trackio
def test_rows_are_the_records(
    settings: TrackioSettings,
    tmp_path: Path,
    tiny_corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Steps, evaluations and samples are in trackio's own database, and nothing leaves the machine: no connection is
    asked for, whatever account and server the environment names. Nothing is printed either."""
    called: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: called.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **_: called.append(asked) or [])
    monkeypatch.setenv("HF_TOKEN", "hf_" + "0" * 34)
    monkeypatch.setenv("TRACKIO_SPACE_ID", "me/board")
    monkeypatch.setenv("TRACKIO_SERVER_URL", "https://example.com/?write_token=x")
    job = make_job(tmp_path, tiny_corpus, final_eval="whole")
    assert execute(job, [settings.build(job.run_dir, pytest.fail)], lambda: False, pytest.fail).outcome == "completed"
    assert_equal_to_records(read_rows(settings, job.run_id), Path(job.run_dir))
    assert called == []
    assert capsys.readouterr().out == ""


@needs_trackio
def test_a_run_that_goes_on(settings: TrackioSettings, tmp_path: Path, tiny_corpus: Path) -> None:
    """It is one run in trackio, and each step is there once, with the numbers of the record: those after the last
    checkpoint, too, which were computed a second time."""
    job = make_job(tmp_path, tiny_corpus)
    asked = iter([False] * 7 + [True] * 99)
    first = execute(job, [settings.build(job.run_dir, pytest.fail)], lambda: next(asked), pytest.fail)
    assert first.outcome == "interrupted"
    last = read_rows(settings, job.run_id)[-1]
    assert last["result/outcome"] == "interrupted"
    assert not [name for name in last if name.startswith("result/final_")]
    execute(job, [settings.build(job.run_dir, pytest.fail)], lambda: False, pytest.fail)
    assert_equal_to_records(read_rows(settings, job.run_id), Path(job.run_dir))


@needs_trackio
@pytest.mark.parametrize("where", ["init", "Table"])
def test_one_that_raises(
    settings: TrackioSettings, tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The run goes on to its result, and one sentence says that the mirror is left out."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the database is locked")

    monkeypatch.setattr(f"trackio.{where}", fail)
    warnings: list[str] = []
    job = make_job(tmp_path, tiny_corpus)
    trackers = [settings.build(job.run_dir, warnings.append)]
    assert execute(job, trackers, lambda: False, warnings.append).outcome == "completed"
    (warning,) = warnings
    assert warning.endswith("failed and is left out: RuntimeError: the database is locked")


@needs_trackio
def test_asked_for_later(trackio: Any, settings: TrackioSettings, tmp_path: Path, tiny_corpus: Path) -> None:
    """What was made without trackio gets there from its record when it is asked for with it, once; a mirror that
    somebody deleted is made again."""

    def ask(*trackers: TrackioSettings) -> View:
        view = View()
        request = StudyRequest(STUDY, find_scale("quick"), 1, TINY, str(tiny_corpus))
        run_plan(plan_runs([request], tmp_path), InProcess(), view, command="test", trackers=trackers)
        assert view.warnings == []
        return view

    assert len(ask().trained) == 2
    view = ask(settings)
    assert (view.trained, len(view.mirrored)) == ([], 2)
    for run_id in view.mirrored:
        assert_equal_to_records(read_rows(settings, run_id), tmp_path / run_id)
    assert ask(settings).mirrored == []
    trackio.Api().runs(settings.project)[0].delete()
    assert len(ask(settings).mirrored) == 1


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says how to get it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        GptexpError, match=r"trackio is not installed; install it with `pip install 'gptexp\[trackio\]'`"
    ):
        choose_settings({})
