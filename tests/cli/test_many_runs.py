"""Lists of many runs, some of them damaged."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir
from tests.cli.conftest import Call, TinyRuns, drop_checksums

N_RUNS = 1000
DAMAGE = ("config.json", "result.json")


def read_unsealed(run_dir: Path) -> Result:
    """The result of a run whose checksums are not its own."""
    drop_checksums(run_dir)
    result = RunDir(run_dir).read_result()
    assert result is not None
    return result


def make_many(runs: TinyRuns, folder: Path) -> list[str]:
    """A thousand runs; returns the ids of those with an unreadable file."""
    original = runs.folder / runs.char
    chance = random.Random(0)
    ids = [f"{chance.getrandbits(48):012x}" for _ in range(N_RUNS)]
    damaged = ids[::50]
    for place, run_id in enumerate(ids):
        target = folder / run_id
        target.mkdir(parents=True)
        for path in original.iterdir():
            if path.is_file():
                shutil.copy(path, target)
        for name in ("config.json", "result.json"):
            content = json.loads((target / name).read_text())
            (target / name).write_text(json.dumps({**content, "run_id": run_id}))
        RunDir(target).write_result(read_unsealed(target))
        if run_id in damaged:
            (target / DAMAGE[place // 50 % 2]).write_bytes(
                (b"", b"{", b"\xff\xfe\x00", b"[]", b"null")[place // 50 % 5]
            )
    return damaged


def test_a_thousand_runs_with_twenty_damaged(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """Under three seconds, every sound run listed, and exactly the damaged ones named."""
    damaged = make_many(tiny_runs, tmp_path / "runs")
    assert len(damaged) == 20
    started = time.perf_counter()
    reply = call("runs", "list", "--json", "--runs-dir", str(tmp_path / "runs"))
    seconds = time.perf_counter() - started
    named = {line.split("/")[-1].split(":")[0] for line in reply.err.splitlines()}
    assert named == set(damaged)
    listed = {row["run_id"]: row["outcome"] for row in reply.json()}
    assert len(listed) >= N_RUNS - len(damaged)
    assert {outcome for run_id, outcome in listed.items() if run_id not in damaged} == {"completed"}
    assert seconds < 3, f"{seconds:.1f} s"
