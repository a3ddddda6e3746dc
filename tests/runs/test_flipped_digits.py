"""A digit that flipped on the disk never changes a number unnoticed."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest

from gptexp.runs.folder import read_log, read_run_folder
from gptexp.runs.frames import load_frames
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.verify import verify_run
from tests.cli.conftest import TinyRuns, forget_checksums, train_tiny_runs

FILES = ("records.jsonl", "result.json", "provenance.jsonl", "members.jsonl", "config.json")
FLIPS = 12


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    folder = tmp_path_factory.mktemp("flips")
    corpus = folder / "corpus.txt"
    corpus.write_text("".join(f"Ada counts {n} and Bo draws {n * 7 % 13} hills.\n" for n in range(400)))
    return train_tiny_runs(corpus, folder / "runs")


@pytest.fixture
def run_dir(original: TinyRuns, tmp_path: Path) -> RunDir:
    """A run that may be damaged."""
    shutil.copytree(original.folder / original.char, tmp_path / "runs" / original.char)
    return RunDir(tmp_path / "runs" / original.char)


def flip_digit(path: Path, chance: random.Random) -> None:
    """Another digit in the place of one."""
    data = bytearray(path.read_bytes())
    place = chance.choice([match.start() for match in re.finditer(rb"[0-9]", bytes(data))])
    data[place] = ord(chance.choice([digit for digit in "0123456789" if ord(digit) != data[place]]))
    path.write_bytes(data)


@pytest.mark.parametrize("file", FILES)
def test_verify_and_pages_notice_every_flipped_digit(run_dir: RunDir, file: str) -> None:
    """In each file: `runs verify` calls the run damaged, and a report names it among what could not be read."""
    chance, whole = random.Random(file), (run_dir.path / file).read_bytes()
    for _ in range(FLIPS):
        flip_digit(run_dir.path / file, chance)
        assert verify_run(run_dir).word == "damaged"
        damaged = load_frames(run_dir.within).damaged
        assert list(damaged["path"].unique()) == [run_dir.path.name]
        assert file.partition(".")[0] in " ".join(damaged["reason"])
        (run_dir.path / file).write_bytes(whole)
    assert verify_run(run_dir).word == "sound"


def test_a_run_whose_log_was_altered_is_left_out(run_dir: RunDir) -> None:
    """Neither its losses nor its result stand in a frame; its place in the study stays, as one that has to be run."""
    flip_digit(run_dir.records, random.Random(1))
    frames = load_frames(run_dir.within)
    assert frames.runs.empty
    assert frames.steps.empty
    assert list(frames.members["run_id"]) == [run_dir.path.name]
    assert "the run is left out" in frames.damaged["reason"].iloc[0]
    assert "something in it was altered" in str(read_log(read_run_folder(run_dir.path))[1])


@pytest.mark.parametrize("log", [b"", None])
def test_a_result_without_its_records_is_none(run_dir: RunDir, log: bytes | None) -> None:
    """What a killed removal leaves is no done run, with checksums or without."""
    for has_checksums in (True, False):
        run_dir.records.unlink(missing_ok=True)
        if log is not None:
            run_dir.records.write_bytes(log)
        assert not run_dir.is_done()
        folder = read_run_folder(run_dir.path)
        assert folder.outcome == "unfinished"
        assert "records.jsonl has changed since result.json was written" in folder.problems[0]
        frames = load_frames(run_dir.within)
        assert len(frames.damaged) == 1
        assert list(frames.runs["outcome"]) == ([] if has_checksums else ["unfinished"])
        forget_checksums(run_dir.path)


def test_runs_from_before_checksums_are_not_called_sound(run_dir: RunDir) -> None:
    """Nothing in them is at odds, and more can't be known: they are not checked, and a number that is off is found."""
    forget_checksums(run_dir.path)
    verdict = verify_run(run_dir)
    assert (verdict.word, verdict.unchecked) == ("not checked", ["result.json"])
    path = run_dir.path / "result.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "final_val_loss": content["final_val_loss"] + 0.1}))
    assert "result.json says final_val_loss" in verify_run(run_dir).problems[0]


def test_a_torn_line_takes_no_other_with_it(run_dir: RunDir) -> None:
    """A process that was killed in the middle of a membership leaves half a line; the next one is whole."""
    with run_dir.members.open("a") as file:
        file.write('{"study": "ti')
    row = {**run_dir.read_members()[0], "study": "another"}
    assert run_dir.append_member(row)
    assert [member["study"] for member in run_dir.read_members()] == ["tiny", "another"]
    assert verify_run(run_dir).word == "sound"


def test_a_membership_that_went_missing_is_noticed(run_dir: RunDir) -> None:
    """The result knows who had asked for the run by then: an arm can't lose a seed without a word."""
    run_dir.members.unlink()
    assert "members.jsonl has changed since" in verify_run(run_dir).problems[0]
    assert "members.jsonl has changed since" in load_frames(run_dir.within).damaged["reason"].iloc[0]
