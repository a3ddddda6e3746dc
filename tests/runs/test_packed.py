"""Packed records are the records: what is made from them is what is made from the run folders."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import random
import shutil
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from gptexp.cli.run_pack import pack_command
from gptexp.errors import GptexpError
from gptexp.records import SampleRecord
from gptexp.report.build import build_report
from gptexp.runs import pack_files
from gptexp.runs.folders import read_run_folders
from gptexp.runs.frames import load_frames
from gptexp.runs.pack_files import open_pack, write_pack
from gptexp.runs.packed import LOGS, join_packed, read_loaders, write_packed
from tests.report.synthetic import initial_loss, lr_ablation, write_runs

SAMPLES = (SampleRecord(0, "initial", None, None, "\n", "\nNaN"), SampleRecord(9, "loss", 4.0, 3.9, "\n", "\x00½"))


def pack(runs_dir: Path, out: Path) -> None:
    frames = load_frames(runs_dir)
    folders, _ = read_run_folders(runs_dir)
    write_packed(out, folders, {name: getattr(frames, name) for name in LOGS}, {})


def run_pack(*arguments: str) -> Result:
    return CliRunner().invoke(pack_command, arguments)


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Run folders with a diverged run, an unfinished one and samples."""
    runs = lr_ablation()
    runs[0].diverge_at = 50
    runs[1].stop_at = 70
    runs[2].samples = SAMPLES
    write_runs(tmp_path / "runs", [*runs, *initial_loss(2)])
    return tmp_path / "runs"


def test_frames_come_back_cell_for_cell(runs_dir: Path, tmp_path: Path) -> None:
    """Types, NaN, infinities, missing values and texts; also of a choice of runs."""
    pack(runs_dir, tmp_path / "packed")
    some = [path.name for path in sorted(runs_dir.iterdir())][:2]
    for run_ids in (None, some):
        local, read = load_frames(runs_dir, run_ids), load_frames(tmp_path / "packed", run_ids)
        for name in ("runs", "members", *LOGS, "damaged"):
            pd.testing.assert_frame_equal(getattr(read, name), getattr(local, name), check_exact=True, obj=name)


def test_the_same_records_give_the_same_bytes(runs_dir: Path, tmp_path: Path) -> None:
    """Packing twice, and over an older packing, is the same."""
    for name in ("one", "two", "two"):
        pack(runs_dir, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_packs_that_grow_are_the_pack_of_all(runs_dir: Path, tmp_path: Path) -> None:
    """Runs added one folder at a time, or pack by pack, give the bytes of packing all at once."""
    names = [path.name for path in sorted(runs_dir.iterdir())]
    whole, grown = tmp_path / "whole", tmp_path / "grown"
    assert run_pack("--runs-dir", str(runs_dir), "--out", str(whole)).exit_code == 0
    for part in (names[1::2], names[::2]):
        some = tmp_path / part[0]
        for name in part:
            shutil.copytree(runs_dir / name, some / name)
        reply = run_pack("--runs-dir", str(some), "--out", str(grown), "--add")
        assert reply.exit_code == 0, reply.output
    assert f"{len(names[::2])} runs added: {len(names)} runs, " in reply.output
    twice = tmp_path / "twice"
    for source in (some, whole, whole):
        assert run_pack("--runs-dir", str(source), "--out", str(twice), "--add").exit_code == 0
    for path in whole.iterdir():
        assert path.read_bytes() == (grown / path.name).read_bytes() == (twice / path.name).read_bytes(), path.name


def test_of_two_records_of_a_run_the_longer_counts(tmp_path: Path) -> None:
    """Whichever was packed first; whoever asked for either asked for it."""
    (run_id,) = write_runs(tmp_path / "longer", [lr_ablation()[0]])
    shutil.copytree(tmp_path / "longer", tmp_path / "shorter")
    cut = tmp_path / "shorter" / run_id
    (cut / "result.json").unlink()
    (cut / "records.jsonl").write_text("".join((cut / "records.jsonl").read_text().splitlines(keepends=True)[:50]))
    members = cut / "members.jsonl"
    members.write_text(members.read_text() + members.read_text().replace("lr-ablation", "another"))
    for order in itertools.permutations(("longer", "shorter")):
        out = tmp_path / "-".join(order)
        for name in order:
            frames, (folders, _) = load_frames(tmp_path / name), read_run_folders(tmp_path / name)
            packing = folders, {log: getattr(frames, log) for log in LOGS}, dict[str, Any]()
            write_packed(out, *(join_packed(out, *packing).packing if out.exists() else packing))
        read = load_frames(out)
        pd.testing.assert_frame_equal(read.steps, load_frames(tmp_path / "longer").steps)
        assert read.runs["outcome"].tolist() == ["completed"]
        assert set(read.members["study"]) == {"lr-ablation", "another"}


def test_of_equals_the_packed_one_stays(tmp_path: Path) -> None:
    """The same run, trained again elsewhere, changes no number that was published; one that came to its end does."""
    (run_id,) = write_runs(tmp_path / "first", [lr_ablation()[0]])
    shutil.copytree(tmp_path / "first", tmp_path / "again")
    result = tmp_path / "again" / run_id / "result.json"
    result.write_text(result.read_text().replace('"outcome_detail": "', '"outcome_detail": "again, '))
    out = tmp_path / "out"
    for name in ("first", "again"):
        reply = run_pack("--runs-dir", str(tmp_path / name), "--out", str(out), "--add")
        assert reply.exit_code == 0, reply.output
    assert "0 runs added, 1 there already: 1 runs, " in reply.output
    (kept,) = read_run_folders(out)[0]
    assert kept.result is not None
    assert not kept.result["outcome_detail"].startswith("again")

    shutil.copytree(tmp_path / "again", tmp_path / "cut")
    cut = tmp_path / "cut" / run_id / "result.json"
    cut.write_text(cut.read_text().replace('"completed"', '"interrupted"'))
    said = {"cut": "0 runs added, 1 there already: ", "again": "0 runs added, 1 got further: "}
    for order in (("cut", "again"), ("again", "cut")):
        for name in order:
            reply = run_pack("--runs-dir", str(tmp_path / name), "--out", str(tmp_path / f"out-{order[0]}"), "--add")
            assert reply.exit_code == 0, reply.output
        assert said[name] in reply.output
        (kept,) = read_run_folders(tmp_path / f"out-{order[0]}")[0]
        assert kept.result is not None
        assert kept.result["outcome"] == "completed"


def test_a_run_that_ended_stays_beside_a_longer_one(tmp_path: Path) -> None:
    """A published divergence stays, though the same run went on elsewhere; and it replaces an unfinished one."""
    write_runs(tmp_path / "runs", [lr_ablation()[0]])
    frames, ((folder,), _) = load_frames(tmp_path / "runs"), read_run_folders(tmp_path / "runs")
    logs = {log: getattr(frames, log) for log in LOGS}
    shorter = {log: rows[rows["step"] <= 10] if "step" in rows else rows for log, rows in logs.items()}
    assert 0 < len(shorter["steps"]) < len(logs["steps"])
    broken = dataclasses.replace(folder, result={**(folder.result or {}), "outcome": "diverged"})
    packings = {
        "longer": (folder, logs),
        "broken": (broken, shorter),
        "unfinished": (dataclasses.replace(folder, result=None), logs),
    }
    for first, then, outcome in (
        ("broken", "longer", "diverged"),
        ("longer", "broken", "completed"),
        ("unfinished", "broken", "diverged"),
        ("broken", "unfinished", "diverged"),
    ):
        one, own = packings[first]
        write_packed(tmp_path / f"{first}-{then}", [one], own, {})
        other, others = packings[then]
        joined = join_packed(tmp_path / f"{first}-{then}", [other], others, {})
        (kept,) = joined.packing[0]
        assert kept.result is not None
        assert kept.result["outcome"] == outcome, (first, then)
        assert len(joined.packing[1]["steps"]) == len((shorter if outcome == "diverged" else logs)["steps"])
        replaced = first == "unfinished"
        assert (joined.n_added, joined.n_replaced, joined.n_kept) == (0, int(replaced), int(not replaced))


def test_no_path_of_the_machine_is_packed(tmp_path: Path) -> None:
    """Of a path in a command or a corpus the last part stays; a web address stays whole."""
    (run_id,) = write_runs(tmp_path / "runs", [initial_loss(1)[0]])
    folder = tmp_path / "runs" / run_id
    line = {"command": "gptexp run x --runs-dir /home/me/my-runs --corpus /data/a.txt", "note": "https://a.org/b/c"}
    (folder / "provenance.jsonl").write_text(json.dumps(line) + "\n")
    pack(tmp_path / "runs", tmp_path / "packed")
    text = (tmp_path / "packed" / "runs.json").read_text()
    assert "gptexp run x --runs-dir my-runs --corpus a.txt" in text
    assert "https://a.org/b/c" in text
    assert "/home" not in text


@pytest.mark.slow
def test_the_page_is_the_same(runs_dir: Path, tmp_path: Path) -> None:
    """Every file of the page agrees byte for byte."""
    pack(runs_dir, tmp_path / "packed")
    build_report(None, runs_dir=runs_dir, out=tmp_path / "local")
    build_report(None, runs_dir=tmp_path / "packed", out=tmp_path / "read")
    files = [path.relative_to(tmp_path / "local") for path in (tmp_path / "local").rglob("*.*")]
    assert len(files) > 10
    for path in files:
        assert (tmp_path / "read" / path).read_bytes() == (tmp_path / "local" / path).read_bytes(), path


class Killed(BaseException):
    """As far as files go, a process that was killed."""


def test_two_packings_never_mix(runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packing over another that is killed at any rename, deletion or sync leaves one of the two, whole."""
    packed = tmp_path / "packed"
    pack(runs_dir, packed)
    old = load_frames(packed)
    shutil.copytree(packed, tmp_path / "old")
    write_runs(runs_dir, lr_ablation(seeds=4))
    pack(runs_dir, tmp_path / "new")
    new = load_frames(tmp_path / "new")
    assert len(old.runs) < len(new.runs)
    outcomes = []
    for call in ("replace", "unlink", "fsync"):
        for place in range(40):
            shutil.rmtree(packed)
            shutil.copytree(tmp_path / "old", packed)
            if not pack_and_die(runs_dir, packed, monkeypatch, call, place):
                break
            found = load_frames(packed)
            expected = new if len(found.runs) == len(new.runs) else old
            outcomes.append(expected is new)
            for name in ("runs", "members", *LOGS):
                pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name), check_exact=True)
            pack(runs_dir, packed)
            assert {path.name for path in packed.iterdir()} == {path.name for path in (tmp_path / "new").iterdir()}
    assert len(outcomes) > 15
    assert set(outcomes) == {True, False}


def pack_and_die(runs_dir: Path, out: Path, monkeypatch: pytest.MonkeyPatch, call: str, place: int) -> bool:
    """Pack, and die at the call number `place` of os.`call`, from 0; whether it came so far."""
    real, calls = getattr(os, call), itertools.count()

    def die(*arguments: Any, **options: Any) -> Any:
        if next(calls) >= place:
            raise Killed
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, die)
        try:
            pack(runs_dir, out)
        except Killed:
            return True
    return False


def test_a_flipped_bit_is_noticed(runs_dir: Path, tmp_path: Path) -> None:
    """Whatever bit of a pack flips, its readers say so; no number of another is shown."""
    packed = tmp_path / "packed"
    pack(runs_dir, packed)
    draw = random.Random(4)
    for path in sorted(packed.iterdir()):
        data = path.read_bytes()
        for _ in range(12):
            place = draw.randrange(len(data))
            changed = bytearray(data)
            changed[place] ^= 1 << draw.randrange(8)
            path.write_bytes(changed)
            with pytest.raises(GptexpError, match=r"packed records in .* are damaged"):
                read_all(packed)
        path.write_bytes(data)
    read_all(packed)


def read_all(packed: Path) -> None:
    """Everything that a report takes from a pack."""
    load_frames(packed)
    read_loaders(packed)


def strip_checksums(packed: Path) -> None:
    """Make it a pack as there were before checksums."""
    content = json.loads((packed / "runs.json").read_text())
    del content["sha256"], content["files"]
    (packed / "runs.json").write_text(json.dumps(content))


def test_an_old_pack_is_read(runs_dir: Path, tmp_path: Path) -> None:
    """A pack from before there were checksums gives the same frames, and is known as one."""
    packed = tmp_path / "packed"
    pack(runs_dir, packed)
    expected = load_frames(packed)
    strip_checksums(packed)
    assert not open_pack(packed).has_checksums
    for name in ("runs", "members", *LOGS):
        pd.testing.assert_frame_equal(getattr(load_frames(packed), name), getattr(expected, name), check_exact=True)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("file", ["runs.json", "steps.parquet", "loaders.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "link", "folder", "gone", "huge"])
def test_special_files_in_a_pack(runs_dir: Path, tmp_path: Path, file: str, kind: str) -> None:
    """A pipe, a device, a link or a sparse file in a pack is one sentence, at once."""
    pack(runs_dir, tmp_path / "packed")
    path = tmp_path / "packed" / file
    path.rename(tmp_path / "real")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind in ("device", "link"):
        path.symlink_to("/dev/zero" if kind == "device" else tmp_path / "real")
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as sparse:
            sparse.truncate(2**40)
    with pytest.raises(GptexpError, match=r"packed records in .* are damaged"):
        read_all(tmp_path / "packed")


def test_a_log_that_unpacks_to_more_than_fits_is_refused(runs_dir: Path, tmp_path: Path) -> None:
    """A million equal rows take a few kilobytes in Parquet: they are counted before they are read."""
    pack(runs_dir, tmp_path / "packed")
    rows = pa.array(["0123456789ab"]).dictionary_encode().take(pa.array([0] * 1_000_000))
    table = pa.table({"run_id": pa.chunked_array([rows] * 11)})
    pq.write_table(table, tmp_path / "packed" / "steps.parquet")
    strip_checksums(tmp_path / "packed")
    with pytest.raises(GptexpError, match="11,000,000 rows"):
        load_frames(tmp_path / "packed")


@pytest.mark.parametrize("file", ["runs.json", "steps.parquet"])
def test_damage_is_named(runs_dir: Path, tmp_path: Path, file: str) -> None:
    """A file that was cut is one sentence that names the folder."""
    pack(runs_dir, tmp_path / "packed")
    path = tmp_path / "packed" / file
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(GptexpError, match=r"packed records in .* are damaged"):
        load_frames(tmp_path / "packed")


def test_two_packings_at_once_leave_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes the other's new files for leftovers of a killed one, so one waits until the other is done."""
    renamed, waited = pack_files.rename, threading.Event()
    errors: list[Exception] = []

    def pack_as(letter: str) -> None:
        try:
            write_pack(tmp_path / "pack", {"a": letter.encode(), "b": letter.encode()}, {"runs": []})
        except Exception as error:
            errors.append(error)

    def rename(*arguments: Any) -> None:
        if threading.current_thread() is first:
            second.start() if not second.ident else None
            waited.wait(0.3)
        renamed(*arguments)

    first = threading.Thread(target=pack_as, args=("1",))
    second = threading.Thread(target=pack_as, args=("2",))
    monkeypatch.setattr(pack_files, "rename", rename)
    first.start()
    first.join()
    second.join()
    assert errors == []
    found = open_pack(tmp_path / "pack")
    assert (found.read("a"), found.read("b")) == (b"2", b"2")


def test_a_reader_finds_a_file_that_a_packing_puts_in_place_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the one place and its look at the other the file moves from the other to the one."""
    write_pack(tmp_path, {"a": b"1"}, {"runs": []})
    path = tmp_path / "a"
    aside = path.rename(tmp_path / "aside")
    real = pack_files.read_bytes

    def read(wanted: Path, *arguments: Any, **options: Any) -> bytes:
        if wanted != path and aside.exists():
            aside.rename(path)
        return real(wanted, *arguments, **options)

    found = open_pack(tmp_path)
    monkeypatch.setattr(pack_files, "read_bytes", read)
    assert found.read("a") == b"1"
