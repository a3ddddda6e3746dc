"""A run between two disks: what comes home, in which order, and that it is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptexp.studies.execute import execute
from gptexp.studies.luggage import Watcher, pack_run, unpack_run, write_home
from gptexp.studies.results import hold_run
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.verify import verify_run
from tests.studies.tiny import make_job


def list_files(run_dir: Path) -> dict[str, bytes]:
    found = {path.relative_to(run_dir).as_posix(): path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name != "lock"}


def test_what_is_written_away_is_at_home_at_any_moment(tmp_path: Path, tiny_corpus: Path) -> None:
    """After every step of a run, and of its second half that goes on from a checkpoint, the folder at home is sound;
    at the end it is the same as the one that was written."""
    away, home = make_job(tmp_path / "away", tiny_corpus), tmp_path / "home"
    home.mkdir()
    target = home / away.run_id
    for last in (7, 99):
        files = pack_run(target) if target.exists() else {}
        unpack_run(Path(away.run_dir), files)
        watcher = Watcher.of(Path(away.run_dir), files)
        steps = 0

        def look(last: int = last, watcher: Watcher = watcher) -> bool:
            nonlocal steps
            steps += 1
            with hold_run(RunDir(target)):
                write_home(target, watcher.collect(at_end=False))
            assert verify_run(RunDir(target)).word == "sound"
            return steps >= last

        result = execute(away, [], look, lambda message: None)
        with hold_run(RunDir(target)):
            write_home(target, watcher.collect(at_end=True))
        assert list_files(target) == list_files(Path(away.run_dir))
        # The next part begins on another disk.
        (tmp_path / "away").rename(tmp_path / f"away-{last}")
        (tmp_path / "away").mkdir()
    assert result.outcome == "completed"
    assert verify_run(RunDir(target)).word == "sound"


def test_a_checkpoint_comes_after_its_records(tmp_path: Path) -> None:
    """In the order of the pieces: the result goes first, records come before checkpoints, a half line not at all."""
    run_dir = tmp_path / "away" / "0123456789ab"
    unpack_run(run_dir, {"records.jsonl": b"1\n", "result.json": b"{}"})
    watcher = Watcher.of(run_dir, pack_run(run_dir))
    (run_dir / "result.json").unlink()
    (run_dir / "records.jsonl").write_bytes(b"1\n2\n3")
    (run_dir / "checkpoints" / "step-00000002").mkdir(parents=True)
    (run_dir / "checkpoints" / "step-00000002" / "state.json").write_bytes(b"{}")
    pieces = watcher.collect(at_end=False)
    assert [piece.path for piece in pieces] == ["result.json", "records.jsonl", "checkpoints/step-00000002"]
    assert (pieces[1].data, pieces[1].is_added) == (b"2\n", True)
    assert pieces[2].folder == {"state.json": b"{}"}
    assert watcher.collect(at_end=False) == []
    (run_dir / "records.jsonl").write_bytes(b"1\n")
    (cut,) = watcher.collect(at_end=False)
    assert (cut.data, cut.is_added) == (b"1\n", False)


@pytest.mark.parametrize("name", ["records.jsonl", "config.json"])
def test_nothing_is_sent_twice(tmp_path: Path, name: str) -> None:
    """What came from home is known there."""
    run_dir = tmp_path / "0123456789ab"
    unpack_run(run_dir, {name: b"{}\n"})
    assert Watcher.of(run_dir, pack_run(run_dir)).collect(at_end=True) == []
