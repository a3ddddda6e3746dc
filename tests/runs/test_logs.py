"""The fast way to read a log gives what the careful one gives."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gptexp.records import SampleRecord
from gptexp.runs import logs
from gptexp.runs.folder import read_run_folder
from gptexp.runs.logs import RECORD_COLUMNS, RecordFrames, read_fast
from tests.report.synthetic import Run, write_run

SAMPLE = SampleRecord(10, "loss", 4.0, 3.9, "\n", 'a "b"\u2028\n')
RUNS = {
    "completed": Run("a", samples=(SAMPLE, SampleRecord(20, "final", None, None, "\n", ""))),
    "diverged": Run("b", diverge_at=7),
    "unfinished": Run("c", stop_at=5, samples=(SAMPLE,)),
    "outlier": Run("d", config={"outlier_at": 0.5}),
}
ODD_LINES = {
    "torn": '{"kind": "event", "step": 21, "na',
    "repeated": '{"kind": "eval", "step": 10, "val_loss": 1.5, "val_bpb": 1.0, "val_tokens": 9, "whole": false}\n',
    "no step": '{"kind": "event", "step": 1.5, "name": "x", "detail": "y"}\n',
    "negative": '{"kind": "event", "step": -1, "name": "x", "detail": "y"}\n',
    "huge": '{"kind": "event", "step": 99999999999999999999, "name": "x", "detail": "y"}\n',
    "one key more": '{"kind": "event", "step": 1, "name": "x", "detail": "y", "z": 1}\n',
    "other kind": '{"kind": "thing", "step": 1}\n',
    "two on a line": '{"kind": "event", "step": 1, "name": "x", "detail": "y"}, '
    '{"kind": "event", "step": 1, "name": "x", "detail": "y"}\n',
    "comma lost": '{"kind": "event", "step": 1, "name": "x"\n"detail": "y"}\n',
    "line break in a text": '{"kind": "event", "step": 1, "name": "x", "detail": "b\nc"}\n',
    "no object": "[1, 2]\n\n",
    "no number": '{"kind": "eval", "step": 3, "val_loss": "low", "val_bpb": null, "val_tokens": true, "whole": 1}\n',
}


def read_both(monkeypatch: pytest.MonkeyPatch, log: Path) -> list[tuple[str | None, dict[str, pd.DataFrame]]]:
    """The problem and the frames of a log, as it is read and without the fast way."""
    found = []
    for fast in (read_fast, lambda data: None):
        monkeypatch.setattr(logs, "read_fast", fast)
        frames = RecordFrames()
        problem = frames.add(read_run_folder(log.parent))
        found.append((problem, {kind: frames.build(kind) for kind in RECORD_COLUMNS}))
    return found


@pytest.mark.parametrize("odd", [None, *ODD_LINES])
@pytest.mark.parametrize("run", RUNS.values(), ids=list(RUNS))
def test_both_ways_give_the_same_frames(
    run: Run, odd: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells, types, order and complaints are the same, whatever a log holds."""
    log = tmp_path / write_run(tmp_path, run) / "records.jsonl"
    with log.open("a", encoding="utf-8") as file:
        file.write(ODD_LINES[odd] if odd else "")
    (problem, frames), (expected_problem, expected) = read_both(monkeypatch, log)
    assert problem == expected_problem
    for kind in RECORD_COLUMNS:
        pd.testing.assert_frame_equal(frames[kind], expected[kind], check_exact=True)


def test_ordinary_logs_take_the_fast_way(tmp_path: Path) -> None:
    """A completed run's log is read without the careful way, or a report of many runs would take minutes."""
    found = read_fast((tmp_path / write_run(tmp_path, RUNS["completed"]) / "records.jsonl").read_bytes())
    assert found is not None
    assert len(found.rows["step"]) == 20
