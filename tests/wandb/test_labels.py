"""Names that Weights & Biases can't take, and a server that refuses some: the mirror is whole all the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gptexp.mirrors.protocol import FanOut
from gptexp.mirrors.wandb import WandbTracker
from gptexp.mirrors.wandb_limits import fit_label
from gptexp.runs.wandb_source import WandbQuery, fetch_runs
from gptexp.studies.execute import execute
from tests.loopback.server import LoopbackServer
from tests.studies.tiny import make_job
from tests.wandb.runs import assert_complete, sync
from tests.wandb_reading.conftest import SilentView

LONG = {
    "study": "a-sweep-with-a-long-name-" * 8,
    "arm": "learning rate 0.0003, " * 8,
    "label": "x",
    "scale": "quick",
    "seed": 1337,
    "question": "Why?\n" * 4000,
    "variant": {"corpus": "x"},
    "definition": "0123456789ab",
    "asked_at": "2026-11-25T12:00:00+00:00",
}


def mirror(runs_dir: Path, corpus: Path, member: dict[str, Any], mode: str = "online", **tracker: Any) -> Any:
    """Train the tiny run for a study; returns its folder and the warnings."""
    job = replace(make_job(runs_dir, corpus), member=member)
    (runs_dir / job.run_id).mkdir(parents=True)
    (runs_dir / job.run_id / "members.jsonl").write_text(json.dumps(member) + "\n")
    warnings: list[str] = []
    execute(job, [WandbTracker(mode, warn=warnings.append, **tracker)], lambda: False, warnings.append)  # type: ignore[arg-type]
    return Path(job.run_dir), warnings


@pytest.fixture
def long_corpus(tiny_corpus: Path) -> Path:
    """A corpus with a file name of 200 characters, some of which W&B can't have in a name."""
    return tiny_corpus.rename(tiny_corpus.with_name(f"{'my corpus: 100% of it, ' * 8}.txt"))


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_long_names_are_shortened(
    wandb_server: LoopbackServer, tmp_path: Path, long_corpus: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Study, arm, question and corpus that are too long for their labels: nothing is lost, and all is read back."""
    monkeypatch.setenv("WANDB_TAGS", "t" * 90)
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    run_dir, warnings = mirror(tmp_path / "runs", long_corpus, LONG, mode)
    assert warnings == []
    if mode == "offline":
        sync(*(run_dir / "wandb").glob("offline-run-*"))
    (run,) = wandb_server.store.runs.values()
    assert_complete(run, run_dir)
    assert run.tags == [fit_label(LONG["study"], 64), "quick", fit_label(long_corpus.name, 64)]
    assert "dataset" in {artifact.type for artifact in wandb_server.store.artifacts.values()}
    for query in ({"studies": (LONG["study"],)}, {"tags": (LONG["study"],)}, {"groups": (f"{LONG['study']}/quick",)}):
        fetched = fetch_runs(WandbQuery("tester", "gptexp", **query), SilentView())
        (member,) = (fetched.folder / run_dir.name / "members.jsonl").read_text().splitlines()
        assert json.loads(member) == LONG


def test_a_refused_label_costs_the_label(wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path) -> None:
    """A server that takes no tags: one sentence, and the whole mirror without them."""
    wandb_server.store.refuses_labels = True
    run_dir, (warning,) = mirror(tmp_path / "runs", tiny_corpus, {**LONG, "study": "tiny", "arm": "warm"})
    assert "invalid tag 'tiny'" in warning
    assert "goes without them" in warning
    assert "\n" not in warning
    (run,) = wandb_server.store.runs.values()
    assert_complete(run, run_dir)
    assert (run.display_name, run.tags, run.group, run.job_type) == (run_dir.name, [], None, None)
    assert run.state == "finished"


def test_a_project_that_cannot_be(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WANDB_PROJECT=team/project: the mirror goes to the nearest project there can be, and that is said."""
    monkeypatch.setenv("WANDB_PROJECT", "team/project")
    run_dir, warnings = mirror(tmp_path / "runs", tiny_corpus, {**LONG, "study": "tiny", "arm": "warm"})
    assert warnings == ["W&B can have no project 'team/project', so 'team-project' is the one"]
    (run,) = wandb_server.store.runs.values()
    assert run.project == "team-project"
    assert_complete(run, run_dir)


def test_artifacts_are_no_condition(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are gone and a corpus that W&B doesn't take cost a sentence each; the run ends as it should."""

    def refuse(*_: Any) -> None:
        raise ValueError("no such artifact")

    monkeypatch.setattr("gptexp.mirrors.wandb.log_corpus", refuse)
    monkeypatch.setattr("gptexp.mirrors.wandb_artifacts.list_checkpoints", lambda _: [])
    run_dir, warnings = mirror(tmp_path / "runs", tiny_corpus, {}, log_checkpoint=True)
    assert [warning.partition(";")[0] for warning in warnings] == [
        "W&B did not take the corpus as an artifact (no such artifact)",
        "W&B did not take the last weights (the run folder has none any more)",
    ]
    (run,) = wandb_server.store.runs.values()
    assert_complete(run, run_dir)
    assert run.state == "finished"


def test_a_setting_that_cannot_be_is_one_sentence(
    tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the client makes a page of, because of somebody's environment, is a sentence; training is not touched."""
    monkeypatch.setenv("WANDB_BASE_URL", "not an address")
    warnings: list[str] = []
    job = make_job(tmp_path / "runs", tiny_corpus)
    result = execute(job, [WandbTracker("offline", warn=warnings.append)], lambda: False, warnings.append)
    assert result.outcome == "completed"
    assert len(warnings) == 1
    assert "\n" not in warnings[0]
    assert "pydantic" not in warnings[0]
    assert "W&B took no mirror" in warnings[0]


def test_other_trackers_errors_are_one_line_too() -> None:
    """Whatever a tracker raises, the note is one line."""

    class Broken:
        def start(self, info: Any) -> None:
            raise RuntimeError("one\ntwo " + "x" * 1000)

    notes: list[str] = []
    FanOut([Broken()], notes.append).start(None)  # type: ignore[list-item, arg-type]
    assert "\n" not in notes[0]
    assert len(notes[0]) < 400


def test_a_report_with_long_names(wandb_server: LoopbackServer, tmp_path: Path) -> None:
    """A report, figures and tables whose names are as long as a file system has them: logged, each under its own."""
    from gptexp.report.bundle import MANIFEST
    from gptexp.report.publish import log_report

    stems = ["a" * 180 + "1", "a" * 180 + "2", "loss: 100% of it"]
    bundle = tmp_path / "page"
    for folder in ("figures", "tables"):
        (bundle / folder).mkdir(parents=True)
    files = []
    for stem in stems:
        Image.new("RGB", (2, 2)).save(bundle / "figures" / f"{stem}.png")
        (bundle / "figures" / f"{stem}.txt").write_text("alt " * 20_000)
        (bundle / "tables" / f"{stem}.csv").write_text(f"a,a\n1,{'x' * 1_200_000}\n")
        files += [{"path": f"figures/{stem}.png"}, {"path": f"tables/{stem}.csv"}]
    manifest = {"report": "my report: " * 20, "studies": [{"instance": "s" * 300}], "runs": {}, "files": files}
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    url = log_report(bundle, "online", entity=None, project="gptexp", folder=tmp_path / "out")
    (run,) = wandb_server.store.runs.values()
    assert url
    assert run.state == "finished"
    (row,) = run.rows
    assert len([key for key in row if key.startswith(("figures/", "tables/"))]) == 2 * len(stems)
    (artifact,) = [item for item in wandb_server.store.artifacts.values() if item.type == "report"]
    assert set(artifact.manifest["contents"]) == {MANIFEST, *(file["path"] for file in files)}
    assert run.settings()["gptexp_report"]["report"] == manifest["report"]
