"""Runs that are done and asked for again, with a mirror they did not have: they get it from their records, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gptexp.mirrors.protocol import RunInfo
from gptexp.mirrors.wandb import Mode, WandbTracker
from gptexp.mirrors.wandb_settings import WandbSettings
from gptexp.studies.launchers import JobContext, JobEnd, JobEvent, JobFunction
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.runner import run_plan
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from gptexp.tracking.run_dir import RunDir
from tests.loopback.server import LoopbackServer
from tests.studies.tiny import TINY
from tests.wandb.runs import assert_complete, sync

STUDY = Study("again", "Is it mirrored?", "yes", "", arms=(Arm("one", "one"), Arm("two", "two", {"beta2": 0.9})))


class InProcess:
    """A launcher without processes."""

    def launch(self, function: JobFunction, jobs: Sequence[Any]) -> Iterator[JobEvent | JobEnd]:
        for job in jobs:
            events: list[Any] = []
            end = JobEnd(job, result=function(job, JobContext(events.append, lambda: False)))
            yield from (JobEvent(job, event) for event in events)
            yield end

    def stop(self) -> None: ...

    def kill(self) -> None: ...


class View:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.mirrored: list[str] = []
        self.warnings: list[str] = []

    def on_event(self, run_id: str, event: Any) -> None:
        self.warnings += [event.message] if hasattr(event, "message") else []

    def on_end(self, run_id: str, result: Any, error: str | None) -> None:
        self.trained.append(run_id)

    def on_mirrored(self, run_id: str, error: str | None) -> None:
        assert error is None
        self.mirrored.append(run_id)


class Asking:
    """One study, asked for again and again."""

    def __init__(self, runs_dir: Path, corpus: Path) -> None:
        self.runs_dir, self.corpus = runs_dir, corpus

    def __call__(self, mode: Mode) -> View:
        view = View()
        request = StudyRequest(STUDY, find_scale("quick"), 1, TINY, str(self.corpus))
        trackers = [] if mode == "disabled" else [WandbSettings(mode)]
        results = run_plan(plan_runs([request], self.runs_dir), InProcess(), view, command="test", trackers=trackers)
        assert {result.outcome for result in results.values() if result} == {"completed"}
        return view

    def offline(self) -> list[Path]:
        return sorted(self.runs_dir.glob("*/wandb/offline-run-*"))


@pytest.fixture
def ask(tmp_path: Path, tiny_corpus: Path) -> Asking:
    return Asking(tmp_path / "runs", tiny_corpus)


def test_made_without_a_mirror_then_asked_for_offline(wandb_server: LoopbackServer, ask: Asking) -> None:
    """Each run gets one offline mirror, whole, and not a second one when it is asked for again."""
    assert len(ask("disabled").trained) == 2
    view = ask("offline")
    assert (view.trained, len(view.mirrored), view.warnings) == ([], 2, [])
    made = ask.offline()
    assert len(made) == 2
    assert ask("offline").mirrored == ask("disabled").mirrored == []
    assert ask.offline() == made
    assert wandb_server.store.calls == []
    sync(*made)
    for run in wandb_server.store.runs.values():
        assert_complete(run, ask.runs_dir / run.name)


@pytest.mark.parametrize("first", ["disabled", "offline"])
def test_made_without_a_server_then_asked_for_online(wandb_server: LoopbackServer, ask: Asking, first: Mode) -> None:
    """W&B gets them whole from their records, once; `wandb sync` sends nothing a second time."""
    ask(first)
    assert len(ask("online").mirrored) == 2
    for run in wandb_server.store.runs.values():
        assert_complete(run, ask.runs_dir / run.name)
        assert run.state == "finished"
    assert len(wandb_server.store.runs) == 2
    calls = len(wandb_server.store.calls)
    for mode in ("online", "offline"):
        assert ask(mode).mirrored == []  # type: ignore[arg-type]
    if first == "offline":
        sync(*ask.offline())
    assert len(wandb_server.store.calls) == calls


def test_online_while_the_server_is_away(wandb_server: LoopbackServer, ask: Asking) -> None:
    """Kept offline, once, with a word; and sent when it is back."""
    ask("disabled")
    wandb_server.stop_answering()
    view = ask("online")
    assert len(view.mirrored) == len(view.warnings) == len(ask.offline()) == 2
    made = ask.offline()
    assert ask("online").mirrored == []
    assert ask.offline() == made
    wandb_server.answer_again()
    assert len(ask("online").mirrored) == 2
    assert len(wandb_server.store.runs) == 2


def test_a_mirror_in_part_is_no_mirror(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """An offline mirror that broke on the way is made again; one from before there were notes is left as it is."""

    class Breaking(WandbTracker):
        def start(self, info: RunInfo) -> None:
            super().start(info)
            raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr("gptexp.mirrors.wandb_settings.WandbTracker", Breaking)
        assert len(ask("offline").warnings) == 2
    assert len(ask.offline()) == 2
    assert len(ask("offline").mirrored) == 2
    made = ask.offline()
    for note in ask.runs_dir.glob("*/wandb/gptexp.json"):
        note.unlink()
    assert ask("offline").mirrored == []
    assert ask.offline() == made


def test_a_mirror_goes_on_where_it_is(
    wandb_server: LoopbackServer, ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What W&B has in part gets the rest, in the project in which it was begun."""
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_PROJECT", "first")
        patch.setattr(WandbTracker, "finish", lambda self, result: self._run.finish())
        ask("online")
    assert not any(RunDir(path).read_mirror().whole for path in ask.runs_dir.iterdir())  # type: ignore[union-attr]
    assert len(ask("online").mirrored) == 2
    assert {run.project for run in wandb_server.store.runs.values()} == {"first"}
    for run in wandb_server.store.runs.values():
        assert run.summary["outcome"] == "completed"
