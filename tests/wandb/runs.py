"""Tiny runs against the loopback server, and how to compare what it holds with the run folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gptexp.mirrors.wandb_rows import read_row
from gptexp.records import decode_record
from tests.loopback.store import StoredRun
from tests.studies.tiny import SMALLEST, TIMES

SHAPE = {**SMALLEST, "tokenizer": "char", "final_eval": "subset"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gptexp", *arguments]


def train_command(runs_dir: Path, corpus: Path, **changes: Any) -> list[str]:
    """`gptexp train` of a tiny run, online."""
    fields = [f"{key}={value}" for key, value in {**SHAPE, **changes}.items()]
    places = ["--scale", "quick", "--corpus", str(corpus), "--runs-dir", str(runs_dir)]
    return command("train", *fields, *places, "--wandb", "online")


def sync(*paths: Path) -> subprocess.CompletedProcess[str]:
    """`wandb sync` of run folders of the client."""
    program = [sys.executable, "-m", "wandb", "sync", "--include-online", *map(str, paths)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done


def send(runs_dir: Path, *run_ids: str) -> str:
    """`gptexp runs sync`; returns what it printed."""
    program = command("runs", "sync", *run_ids, "--runs-dir", str(runs_dir))
    done = subprocess.run(program, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_until(condition: Callable[[], Any], timeout_s: float = 150) -> Any:
    """What the condition says once it is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def read_mirror(run: StoredRun) -> list[dict[str, Any]]:
    """The records that the server holds, without their times; no row is passed over."""
    records = []
    for row in run.rows:
        if "samples" in row:
            continue
        record = read_row(row)
        assert record is not None, row
        records.append({key: value for key, value in record.items() if key not in TIMES})
    return records


def assert_complete(run: StoredRun, run_dir: Path) -> None:
    """The server's history is the record log: the same records in the same order, no hole, none twice."""
    local = []
    for line in (run_dir / "records.jsonl").read_text(encoding="utf-8").splitlines():
        record = decode_record(line)
        assert record is not None
        local.append({key: value for key, value in record.items() if key not in TIMES})
    # As text, since NaN is not equal to itself.
    assert sorted_json(read_mirror(run)) == sorted_json(local)
    assert [row["_step"] for row in run.rows] == list(range(len(run.rows)))


def sorted_json(records: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(record, sort_keys=True) for record in records)
