"""verify, rm and gc."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call, TinyRuns


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No published report of this checkout has a say."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def runs(tiny_runs: TinyRuns, tmp_path: Path) -> TinyRuns:
    """Runs that a test may damage."""
    return tiny_runs.copy(tmp_path / "runs")


def test_verify_counts_and_names(call: Call, runs: TinyRuns) -> None:
    """Sound runs are counted with exit status 0; a damaged one is named with the reason, exit status 1."""
    reply = call("runs", "verify", "--runs-dir", str(runs.folder))
    assert (reply.status, reply.out) == (0, "2 of 2 runs are sound.\n")
    (runs.folder / runs.gpt2 / "result.json").write_text("{")
    reply = call("runs", "verify", "--runs-dir", str(runs.folder))
    assert reply.status == 1
    assert reply.out.startswith(f"{runs.gpt2}: result.json is damaged: not JSON")
    assert call("runs", "verify", runs.char[:6], "--runs-dir", str(runs.folder)).status == 0
    problems = call("runs", "verify", "--runs-dir", str(runs.folder), "--json").json()
    assert {row["run_id"]: bool(row["problems"]) for row in problems} == {runs.gpt2: True, runs.char: False}


def test_rm_spares_what_is_published(call: Call, runs: TinyRuns, tmp_path: Path) -> None:
    """A run that a published report points to goes only with --force; others go at once."""
    published = tmp_path / "reports" / "published" / "lesson"
    published.mkdir(parents=True)
    (published / "manifest.json").write_text(json.dumps({"runs": {runs.gpt2: {}}}))
    reply = call("runs", "rm", runs.gpt2, runs.char, "--runs-dir", str(runs.folder))
    assert reply.status == 2
    assert "--force" in reply.err
    assert (runs.folder / runs.char).exists()
    assert call("runs", "rm", runs.char, "--runs-dir", str(runs.folder)).status == 0
    assert not (runs.folder / runs.char).exists()
    assert call("runs", "rm", runs.gpt2, "--force", "--runs-dir", str(runs.folder)).status == 0
    assert not (runs.folder / runs.gpt2).exists()


def test_gc_frees_weights_only_when_told(call: Call, runs: TinyRuns, tmp_path: Path) -> None:
    """--dry-run keeps everything, --weights takes weights of done runs but not of published ones."""
    weights = {name: list((runs.folder / name).rglob("model.safetensors")) for name in (runs.gpt2, runs.char)}
    assert all(weights.values())
    folder = ("--runs-dir", str(runs.folder))
    assert "Would free" in call("runs", "gc", "--weights", "--dry-run", *folder).out
    call("runs", "gc", *folder)
    assert all(path.exists() for paths in weights.values() for path in paths)
    published = tmp_path / "reports" / "published"
    published.mkdir(parents=True)
    (published / "manifest.json").write_text(json.dumps([runs.gpt2]))
    reply = call("runs", "gc", "--weights", *folder)
    assert "weights kept" in reply.out
    assert all(path.exists() for path in weights[runs.gpt2])
    assert not any(path.exists() for path in weights[runs.char])


def test_what_a_killed_first_packing_left_is_in_nobodys_way(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """Its folder holds no pack yet and none of anybody's files: the same command again makes the pack."""
    pack = tmp_path / "pack"
    left = pack / ".evals.parquet.0123456789ab.new"
    pack.mkdir()
    left.write_bytes(b"PAR1")
    arguments = ("runs", "pack", "--out", str(pack), "--runs-dir", str(tiny_runs.folder))
    assert call(*arguments).status == 0
    assert not left.exists()
    assert (pack / "runs.json").exists()


def test_a_pack_is_checked(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """`runs verify` says of packed records what it says of run folders: sound, not checked, or what is wrong."""
    pack = tmp_path / "pack"
    assert call("runs", "pack", "--out", str(pack), "--runs-dir", str(tiny_runs.folder)).status == 0
    verify = ("runs", "verify", "--runs-dir", str(pack))
    assert call(*verify).out == "2 of 2 runs are sound.\n"
    assert call(*verify, tiny_runs.char[:6]).out == "1 of 1 runs are sound.\n"
    assert "there is no run" in call(*verify, "zz").err
    whole = (pack / "runs.json").read_text()
    content = json.loads(whole)
    del content["sha256"], content["files"]
    (pack / "runs.json").write_text(json.dumps(content))
    old = call(*verify)
    assert old.status == 0
    assert "2 not checked" in old.out
    content["runs"][0]["result"]["final_val_loss"] += 0.001
    content["runs"][1]["config"]["config"]["lr"] *= 2
    (pack / "runs.json").write_text(json.dumps(content))
    wrong = call(*verify)
    assert wrong.status == 1
    assert "result.json says final_val_loss" in wrong.out
    assert "config.json was altered" in wrong.out
    (pack / "runs.json").write_text(whole.replace('"seed": 1337', '"seed": 1338', 1))
    assert "runs.json is not as it was packed" in call(*verify).out
