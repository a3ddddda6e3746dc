"""`gptexp sweep` as its users type it."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Call
from tests.studies.sweeps import LR, write_file


@pytest.fixture
def options(tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything goes to a temporary folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return ["--scale", "quick", "--corpus", str(tiny_corpus), "--wandb", "disabled"]


@pytest.mark.slow
def test_a_sweep_ends_with_ranking_figure_and_command(call: Call, tmp_path: Path, options: list[str]) -> None:
    """Ranked trials, tables, the figure, and a command that is answered from the best trial's record."""
    file = write_file(tmp_path / "sweep.yaml", parameters={"lr": {"values": [1e-3, 1e-2, 1e30]}})
    summary = call("sweep", str(file), *options, "--json").json()
    trials = summary["trials"]
    assert [trial["rank"] for trial in trials] == [1, 2, 3]
    assert [trial["outcome"] for trial in trials] == ["completed", "completed", "diverged"]
    assert trials[0]["value"] < trials[1]["value"]
    assert trials[2]["value"] == "Infinity"
    out = tmp_path / "reports" / "out" / "sweep-tiny"
    assert Path(summary["figure"]).resolve() == out / "lr-sweep.svg"
    with (out / "lr-sweep.csv").open() as table:
        assert [row["value"] for row in csv.DictReader(table)][-1] == "inf"
    text = " ".join(ElementTree.parse(out / "lr-sweep.svg").getroot().itertext())
    assert "diverged" in text
    assert "peak learning rate" in text
    words = shlex.split(summary["best_command"])[1:]
    again = call(*words, "--wandb", "disabled", "--dry-run")
    assert again.status == 0
    assert trials[0]["run_id"] in again.out
    assert "nothing to train" in again.out


def test_interrupted_it_says_so_in_json(
    call: Call, tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads the JSON learns that there is no ranking, and why."""
    monkeypatch.setattr("gptexp.cli.sweep.search", lambda *_: True)
    reply = call("sweep", str(write_file(tmp_path / "sweep.yaml")), "--trials", "2", *options, "--json")
    said = reply.json()
    assert (reply.status, said["format"], said["exit_status"]) == (130, "gptexp.error/1", 130)
    assert said["error"] == "interrupted with 0 of 2 trials done; the same command goes on"
    assert said["error"] in reply.err


@pytest.mark.slow
def test_the_same_command_again_trains_nothing(call: Call, tmp_path: Path, options: list[str]) -> None:
    """--trials counts all trials, not more of them; a larger number adds the difference."""
    file = write_file(tmp_path / "sweep.yaml")
    first = call("sweep", str(file), "--trials", "2", *options)
    assert first.status == 0, first.err
    assert "too few completed trials" in first.out
    log = tmp_path / "runs" / "sweeps" / "tiny" / "journal.log"
    before = log.read_bytes()
    again = call("sweep", str(file), "--trials", "2", *options)
    assert again.status == 0
    assert "Going on with 2 of 2 trials: 2 completed." in again.out
    assert log.read_bytes()[: len(before)] == before
    # A damaged line is named, and its trial is answered from the record of its run.
    lines = before.splitlines(keepends=True)
    log.write_bytes(b"".join([lines[0], b"\0" * 9 + b"\n", *lines[2:]]))
    mended = call("sweep", str(file), "--trials", "2", *options)
    assert mended.status == 0
    assert f"Left out: {log.relative_to(tmp_path)}, line 2, holds zero bytes." in mended.out
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == 2
    more = call("sweep", str(file), "--trials", "3", *options, "--json").json()
    assert [trial["outcome"] for trial in more["trials"]] == ["completed"] * 3
    assert "line 2, holds zero bytes" in more["left_out"][0]


def test_a_dry_run_only_looks(call: Call, tmp_path: Path, options: list[str]) -> None:
    """It lists the points of the grid with their runs, and leaves nothing behind."""
    file = write_file(tmp_path / "sweep.yaml")
    reply = call("sweep", str(file), *options, "--dry-run")
    assert reply.status == 0
    assert "6 trials of 6 points" in reply.out
    assert "  6. lr=0.01, schedule=warmup-cosine, seed 1337: run " in reply.out
    assert not (tmp_path / "runs").exists()


def test_what_cannot_be_done_is_one_sentence(call: Call, tmp_path: Path, options: list[str]) -> None:
    """Exit status 2, the file and the word that is wrong, and nothing trained."""
    file = write_file(tmp_path / "sweep.yaml", method="annealing")
    reply = call("sweep", str(file), *options)
    assert reply.status == 2
    (sentence,) = reply.sentences()
    assert "sweep.yaml" in sentence
    assert "annealing" in sentence
    assert not (tmp_path / "runs").exists()


def test_a_foreign_folder_is_not_overwritten(call: Call, tmp_path: Path, options: list[str]) -> None:
    """--out with somebody's files in it is refused; the trials are recorded and the next call shows them."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    file = write_file(tmp_path / "sweep.yaml", parameters={"lr": {"value": 1e-3}})
    reply = call("sweep", str(file), *options, "--out", str(tmp_path / "mine"))
    assert reply.status == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def start(file: Path, corpus: Path, *more: str) -> subprocess.Popen[str]:
    """`gptexp sweep` in a process group of its own, one trial at a time."""
    command = [sys.executable, "-m", "gptexp", "sweep", str(file), "--trials", "12", "--jobs", "1", *more]
    options = [
        "--scale",
        "quick",
        "--corpus",
        str(corpus),
        "--wandb",
        "disabled",
        "--runs-dir",
        str(file.parent / "runs"),
    ]
    return subprocess.Popen(
        [*command, *options, "--out", str(file.parent / f"out-{len(more)}")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def count_done(folder: Path) -> int:
    """Runs under `folder` that have completed."""
    results = [json.loads(path.read_text()) for path in folder.glob("runs/*/result.json")]
    return sum(result["outcome"] == "completed" for result in results)


def wait_for_done(process: subprocess.Popen[str], folder: Path, number: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while count_done(folder) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_complete(folder: Path, summary: dict[str, Any], steps: int) -> None:
    """Twelve trials, twelve runs, every step of each recorded once."""
    trials = summary["trials"]
    assert sorted(trial["trial"] for trial in trials) == list(range(1, 13))
    assert {trial["outcome"] for trial in trials} == {"completed"}
    assert len({json.dumps(trial["settings"]) for trial in trials}) == 12
    assert len({trial["run_id"] for trial in trials}) == 12
    assert len(list(folder.glob("runs/*/result.json"))) == 12
    for path in folder.glob("runs/*/records.jsonl"):
        recorded = [record["step"] for record in map(json.loads, path.open()) if record["kind"] == "step"]
        assert recorded == list(range(1, steps + 1))


STEPS = 150
PLAIN = {
    "max_steps": {"value": STEPS},
    "eval_interval": {"value": 50},
    "sample_interval": {"value": 100},
    "checkpoint_interval": {"value": 25},
}
GRID = {
    "lr": LR,
    "schedule": {"values": ["constant", "warmup-cosine"]},
    "grad_clip": {"values": [1.0, None]},
    **PLAIN,
}
PATIENCE_S = 120
"""Seconds that a process may take, on a machine that is busy with other things."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ctrl_c_and_two_processes(tmp_path: Path, tiny_corpus: Path) -> None:
    """Interrupted with Ctrl-C after 5 trials and started again in two processes: 12 in all, none twice."""
    file = write_file(tmp_path / "sweep.yaml", parameters=GRID)
    first = start(file, tiny_corpus)
    wait_for_done(first, tmp_path, 5)
    os.killpg(first.pid, signal.SIGINT)
    _, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 130, errors
    assert "Traceback" not in errors
    assert 5 <= count_done(tmp_path) < 12
    both = [start(file, tiny_corpus, "--json"), start(file, tiny_corpus, "--json", "--json")]
    outputs = [process.communicate(timeout=PATIENCE_S) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    provenance = {path.parent: path.read_text().splitlines() for path in tmp_path.glob("runs/*/provenance.jsonl")}
    # Each run was worked on by one process, but for the one that Ctrl-C met in the middle.
    assert sum(len(lines) for lines in provenance.values()) <= 13
    shown = [json.loads(output)["trials"] for output, _ in outputs]
    assert all(len(trials) == 12 for trials in shown)
    last = start(file, tiny_corpus, "--json")
    output, errors = last.communicate(timeout=PATIENCE_S)
    assert last.returncode == 0, errors
    check_complete(tmp_path, json.loads(output), STEPS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_process_leaves_its_trial_to_the_next(tmp_path: Path, tiny_corpus: Path) -> None:
    """SIGKILL to a whole process group in the middle of a trial: the next command ends with every trial once."""
    file = write_file(tmp_path / "sweep.yaml", parameters=GRID)
    first = start(file, tiny_corpus)
    wait_for_done(first, tmp_path, 2)
    time.sleep(0.4)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    again = start(file, tiny_corpus, "--json")
    output, errors = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, errors
    check_complete(tmp_path, json.loads(output), STEPS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_dead_worker_fails_its_trial_alone(tmp_path: Path, tiny_corpus: Path) -> None:
    """A worker that the system kills: its trial fails with the reason, exit status 1, the next command retries it."""
    file = write_file(tmp_path / "sweep.yaml", parameters={**PLAIN, "lr": LR, "max_steps": {"value": 600}})
    first = start(file, tiny_corpus, "--json")
    deadline = time.monotonic() + PATIENCE_S
    while not list(tmp_path.glob("runs/*/records.jsonl")):
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    for pid in children:
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)
    output, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 1, errors
    outcomes = [trial["outcome"] for trial in json.loads(output)["trials"]]
    assert sorted(outcomes) == ["completed", "completed", "failed"]
    assert "signal 9" in json.loads(output)["trials"][-1]["detail"]
    again = start(file, tiny_corpus, "--json", "--json")
    output, errors = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, errors
    assert [trial["outcome"] for trial in json.loads(output)["trials"]] == ["completed"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("where", ["option", "file"])
def test_points_of_several_seeds_are_ranked_with_intervals(
    call: Call, tmp_path: Path, options: list[str], where: str
) -> None:
    """Seeds of a point by --seeds, or as a parameter as a W&B sweep has it: the same points, the page has them too."""
    searched: dict[str, Any] = {"lr": {"values": [1e-3, 1.1e-3, 1e-6]}}
    if where == "file":
        searched["seed"] = {"values": [1337, 1338, 1339]}
    file = write_file(tmp_path / "sweep.yaml", parameters=searched)
    seeds = ["--seeds", "3"] if where == "option" else []
    reply = call("sweep", str(file), *options, *seeds, "--json")
    assert reply.status == 0, reply.err
    summary = reply.json()
    assert summary["n_trials"] == 9
    points = {row["point"]: row for row in summary["points"]}
    assert {row["seeds"] for row in points.values()} == {3}
    assert points["lr=1e-06"]["against_best"] == "worse than the best"
    assert {points["lr=0.001"]["against_best"], points["lr=0.0011"]["against_best"]} >= {"best"}
    assert all(row["low"] < row["mean"] < row["high"] for row in points.values())
    assert (tmp_path / "reports" / "out" / "sweep-tiny" / "points.csv").exists()
    assert "Tukey" in call("sweep", str(file), *options, *seeds).out
    assert call("report", "study", "--out", str(tmp_path / "page")).status == 0
    assert "The points of the sweep, best first" in (tmp_path / "page" / "index.html").read_text()


def test_seeds_are_named_once(call: Call, tmp_path: Path, options: list[str]) -> None:
    """A file that searches seeds has its own; trials come in whole points."""
    file = write_file(tmp_path / "sweep.yaml", parameters={"lr": LR, "seed": {"values": [1, 2]}})
    assert "leave --seeds out" in call("sweep", str(file), "--seeds", "3", *options).err
    file = write_file(tmp_path / "sweep.yaml")
    assert "no whole number of points" in call("sweep", str(file), "--seeds", "3", "--trials", "4", *options).err
