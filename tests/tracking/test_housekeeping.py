"""Checking and cleaning run folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filelock import FileLock

from gptexp.errors import GptexpError
from gptexp.studies.execute import execute
from gptexp.tracking.housekeeping import clean_run, list_run_dirs, published_run_ids, remove_run
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.verify import Verdict, verify_run
from gptexp.training.checkpoint import list_checkpoints
from tests.studies.tiny import make_job, run_tiny


@pytest.fixture
def done(tmp_path: Path, tiny_corpus: Path) -> RunDir:
    result, _ = run_tiny(tmp_path / "runs", tiny_corpus)
    return RunDir(tmp_path / "runs" / result.run_id)


def test_a_sound_run_has_no_problems(done: RunDir) -> None:
    """A run that was left alone verifies."""
    assert verify_run(done) == Verdict()


def test_every_kind_of_damage_is_named(done: RunDir) -> None:
    """Altered config, missing step, other step count, altered weights: each is found and named."""
    config = json.loads((done.path / "config.json").read_text())
    config["config"]["lr"] = 1.0
    (done.path / "config.json").write_text(json.dumps(config))
    lines = done.records.read_text().splitlines(keepends=True)
    done.records.write_text("".join(line for line in lines if '"kind": "step", "step": 5,' not in line))
    weights = list_checkpoints(done.checkpoints)[0] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    problems = verify_run(done).problems
    found = (
        "config.json is damaged: its checksum doesn't match",
        "count every step once",
        "has changed since result.json was written",
        "has SHA-256",
    )
    for words in found:
        assert words in "; ".join(problems)
    (done.path / "config.json").write_text("{")
    (done.path / "result.json").write_text('{"run_id": 3}')
    assert len([problem for problem in verify_run(done).problems if "json" in problem]) >= 3


def test_cleaning_keeps_what_is_needed(tmp_path: Path, tiny_corpus: Path) -> None:
    """An interrupted run keeps its optimizer state, a done one loses it, and still verifies and resumes as done."""
    job = make_job(tmp_path, tiny_corpus)
    stop_at_7 = iter([False] * 6 + [True])
    execute(job, [], lambda: next(stop_at_7), lambda message: None)
    run_dir = RunDir(Path(job.run_dir))
    (run_dir.checkpoints / ".step-00000009.123").mkdir()
    assert [freed.what for freed in clean_run(run_dir, weights=True)] == ["leftover .step-00000009.123"]
    assert execute(job, [], lambda: False, lambda message: None).outcome == "completed"
    clean_run(run_dir, weights=False)
    assert not list(run_dir.path.rglob("optimizer.safetensors"))
    assert list(run_dir.path.rglob("model.safetensors"))
    assert verify_run(run_dir) == Verdict()
    clean_run(run_dir, weights=True)
    assert not list(run_dir.path.rglob("*.safetensors"))
    assert verify_run(run_dir) == Verdict()
    assert run_dir.is_done()


def test_removing(done: RunDir) -> None:
    """A removed run is gone whole, and the bytes are counted; one that is being worked on is refused."""
    with FileLock(done.path / "lock"), pytest.raises(GptexpError, match="being worked on"):
        remove_run(RunDir(done.path))
    assert remove_run(done).n_bytes > 1000
    assert not done.path.exists()


def test_published_ids_are_found_anywhere(tmp_path: Path) -> None:
    """Ids in any manifest below the folder count; a manifest that can't be read is an error, not an empty set."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    manifest = {"figures": [{"runs": ["0123456789ab"]}], "fedcba987654": {}, "x": "not an id"}
    (tmp_path / "a" / "b" / "manifest.json").write_text(json.dumps(manifest))
    assert published_run_ids([tmp_path, tmp_path / "missing"]) == {"0123456789ab", "fedcba987654"}
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(GptexpError, match="can't be read"):
        published_run_ids([tmp_path])


def test_links_are_no_runs(tmp_path: Path, done: RunDir) -> None:
    """A link named like a run leads outside the folder: it is not followed, listed or removed."""
    (done.path.parent / "ffffffffffff").symlink_to(tmp_path)
    assert [run_dir.path.name for run_dir in list_run_dirs(done.path.parent)] == [done.path.name]
