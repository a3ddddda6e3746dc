"""Input from strangers: names that leave the folder, hostile files, and keys that must not leak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.mirrors.protocol import BackgroundTracker, FanOut
from gptexp.records import Record, SampleRecord
from gptexp.studies.execute import execute
from gptexp.studies.study import load_study
from gptexp.tracking.run_dir import RunDir, find_run
from gptexp.tracking.run_log import RunLog, read_records
from tests.studies.tiny import make_job, run_tiny

PLANTED = "0123456789abcdefSECRETfedcba9876543210xy"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a/b", "", "lr_ablation.py", "\x1b[31mred"])
def test_a_study_name_never_leaves_the_folder(name: str) -> None:
    """A study is looked up among the files of the folder; a path is just an unknown name."""
    with pytest.raises(GptexpError, match="there is no study"):
        load_study(name)


@pytest.mark.parametrize("run_id", ["..", "../x", "/", "", "*", "zzzzzzzzzzzz", "."])
def test_a_run_id_never_leaves_the_folder(tmp_path: Path, run_id: str) -> None:
    """Only a folder named by twelve hex digits is a run."""
    (tmp_path / "zzzzzzzzzzzz").mkdir()
    (tmp_path / "0123456789ab").mkdir()
    with pytest.raises(GptexpError, match="there is no run"):
        find_run(tmp_path, run_id)


def test_links_lead_no_write_out_of_the_folder(tmp_path: Path, tiny_corpus: Path) -> None:
    """A run folder, or a file in it, that is a link to somewhere else is refused, and nothing there is touched."""
    outside = tmp_path / "outside"
    outside.mkdir()
    job = make_job(tmp_path / "runs", tiny_corpus)
    (tmp_path / "runs").mkdir()
    Path(job.run_dir).symlink_to(outside)
    with pytest.raises(GptexpError, match="is a link"):
        execute(job, [], lambda: False, lambda message: None)
    assert list(outside.iterdir()) == []
    Path(job.run_dir).unlink()
    Path(job.run_dir).mkdir()
    for name in ("records.jsonl", "provenance.jsonl"):
        (outside / name).write_text("mine")
        (Path(job.run_dir) / name).unlink(missing_ok=True)
        (Path(job.run_dir) / name).symlink_to(outside / name)
        with pytest.raises(GptexpError, match="can't write"):
            execute(job, [], lambda: False, lambda message: None)
        assert (outside / name).read_text() == "mine"
        (Path(job.run_dir) / name).unlink()


def test_keys_and_environment_leave_no_trace(tmp_path: Path, tiny_corpus: Path) -> None:
    """A planted API key and a planted variable are in nothing that a run and its page leave, the W&B files included."""
    shape = ["n_layer=1", "n_head=2", "n_embd=16", "block_size=16", "batch_size=2", "max_steps=3", "eval_steps=1"]
    settings = [text for value in shape for text in ("--set", value)]
    command = [
        sys.executable,
        "-m",
        "gptexp",
        "run",
        "lr-ablation",
        "--scale",
        "quick",
        "--wandb",
        "offline",
        *settings,
    ]
    environment = {**os.environ, "WANDB_API_KEY": PLANTED, "MY_TOKEN": PLANTED, "WANDB_MODE": "offline"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    # A client that an earlier test left running would take this one's runs.
    environment.pop("WANDB_SERVICE", None)
    done = subprocess.run(
        [*command, "--corpus", str(tiny_corpus)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert PLANTED not in done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".wandb"]
    assert [path for path in files if path.name == "index.html"]
    leaks = [str(path) for path in files if PLANTED.encode() in path.read_bytes()]
    assert leaks == []


def test_a_gigantic_line_is_survived(tmp_path: Path, tiny_corpus: Path) -> None:
    """A hundred megabytes in one line of a stranger's log cost memory for a moment and hide no other record."""
    result, records = run_tiny(tmp_path, tiny_corpus)
    log = tmp_path / result.run_id / "records.jsonl"
    with log.open("a") as file:
        file.write('{"kind": "event", "detail": "' + "x" * 100_000_000 + "\n")
    assert len(list(read_records(log))) == len(records)


@pytest.mark.parametrize(
    "line",
    ['{"kind": "step"}', "[" * 5000, '{"kind": "step", "step": "no"}', "null", '{"kind": "pickle"}', "\x00", '"NaN"'],
)
def test_lines_that_are_no_records_are_passed_over(tmp_path: Path, line: str) -> None:
    """Nested, null, foreign or incomplete lines neither stop the reader nor pose as records."""
    path = tmp_path / "records.jsonl"
    log = RunLog(path)
    log.log(SampleRecord(1, "final", None, None, "\n", "before"))
    log.close()
    with path.open("a") as file:
        file.write(line + "\n")
    log = RunLog(path, keep_bytes=path.stat().st_size)
    log.log(SampleRecord(2, "final", None, None, "\n", "after"))
    assert [record["text"] for record in read_records(path)] == ["before", "after"]


@pytest.mark.parametrize("content", ["[]", "{}", '{"run_id": 1}', "[" * 100_000, '{"outcome": "completed"}', ""])
def test_a_strange_result_is_not_done(tmp_path: Path, content: str) -> None:
    """Whatever a stranger's result.json holds, it is either a whole result or a ValueError."""
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ValueError, match=r"result\.json"):
        RunDir(tmp_path).read_result()
    assert not RunDir(tmp_path).is_done()


class Hanging:
    """A mirror that never answers."""

    def start(self, *_: Any) -> None:
        import time

        time.sleep(3600)

    log = finish = start


def test_a_mirror_that_hangs_holds_up_nothing(tmp_path: Path, tiny_corpus: Path) -> None:
    """W&B that never answers: the run trains as fast as without, waits its patience once, and says so."""
    job, warnings = make_job(tmp_path, tiny_corpus), []
    tracker = BackgroundTracker(Hanging(), patience_s=lambda: 0.2, late="the mirror has holes")
    result = execute(job, [tracker], lambda: False, warnings.append)
    assert result.outcome == "completed"
    assert result.duration_s < 30
    assert warnings == ["the mirror has holes"]


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Durations come from a clock that only goes forward: with the wall clock a year back they are still right."""
    import time

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 365 * 86400)
    result, _ = run_tiny(tmp_path, tiny_corpus)
    assert 0 < result.duration_s < 60
    content = json.loads((tmp_path / result.run_id / "result.json").read_text())
    assert content["outcome"] == "completed"


def test_fan_out_hands_on_to_the_others() -> None:
    """The tracker behind a broken one gets its record; a warning that can't be delivered stops nothing either."""
    kept: list[Record] = []

    class Keeping:
        def start(self, *_: Any) -> None: ...

        def log(self, record: Record) -> None:
            kept.append(record)

        def finish(self, *_: Any) -> None: ...

    class Broken:
        def start(self, *_: Any) -> None:
            raise OSError("no route to host")

        log = finish = start

    def warn(message: str) -> None:
        raise OSError("closed")

    record = SampleRecord(1, "final", None, None, "", "")
    FanOut([Broken(), Keeping()], warn).log(record)
    assert kept == [record]
