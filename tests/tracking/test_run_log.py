"""The durable record: whole lines, in order, whatever happens."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import pytest

from gptexp.files import DiskError, write_atomic
from gptexp.records import EventRecord, SampleRecord, StepRecord
from gptexp.tracking.run_log import RunLog, read_records


def step_record(step: int, loss: float = 1.5) -> StepRecord:
    return StepRecord(step, loss, 1e-3, 0.5, False, 64 * step, 0.1, 640.0)


def test_records_come_back(tmp_path: Path) -> None:
    """What was logged is read again, with NaN and infinities as floats and the word NaN in a text as text."""
    log = RunLog(tmp_path / "records.jsonl")
    log.log(step_record(1, math.nan))
    log.log(step_record(2, math.inf))
    log.log(SampleRecord(2, "final", None, None, "\n", "NaN\u2028\n</script>"))
    log.close()
    first, second, sample = read_records(tmp_path / "records.jsonl")
    assert math.isnan(first["train_loss"])
    assert second["train_loss"] == math.inf
    assert sample["text"] == "NaN\u2028\n</script>"
    assert sample["kind"] == "sample"


def test_each_line_reaches_the_file_at_once(tmp_path: Path) -> None:
    """A process that is killed after `log` returned has lost nothing: no buffer of ours holds the line."""
    log = RunLog(tmp_path / "records.jsonl")
    for step in range(1, 4):
        log.log(step_record(step))
        assert len(list(read_records(tmp_path / "records.jsonl"))) == step


def test_a_torn_line_is_passed_over_and_cut(tmp_path: Path) -> None:
    """A torn last line is no record; opening with keep_bytes removes it, so the next line starts clean."""
    path = tmp_path / "records.jsonl"
    log = RunLog(path)
    log.log(step_record(1))
    size = log.size
    log.close()
    with path.open("a") as file:
        file.write('{"kind": "step", "st')
    assert len(list(read_records(path))) == 1
    log = RunLog(path, keep_bytes=size)
    log.log(step_record(2))
    assert [record["step"] for record in read_records(path)] == [1, 2]


def test_a_full_disk_is_one_sentence_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a line fits only in part it is taken back; once there is room, logging goes on."""
    path = tmp_path / "records.jsonl"
    log = RunLog(path)
    log.log(step_record(1))
    real_write = os.write
    room = [10]

    def write(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real_write(descriptor, bytes(data[: room[0]]))
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(DiskError, match="no space left on the disk"):
            log.log(step_record(2))
    assert path.read_text().count("\n") == 1
    assert path.read_text().endswith("\n")
    log.log(EventRecord(2, "after", "room again"))
    assert len(list(read_records(path))) == 2


def test_atomic_writes_leave_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old content and no temporary file."""
    path = tmp_path / "result.json"
    write_atomic(path, "old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(DiskError):
            write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
