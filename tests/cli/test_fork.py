"""`gptexp fork` as its users type it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gptexp.studies.execute import execute
from tests.cli.conftest import Call
from tests.studies.tiny import SMALLEST, make_job


@pytest.fixture
def words(tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stands behind each command that trains."""
    monkeypatch.chdir(tmp_path)
    return ["--corpus", str(tiny_corpus), "--wandb", "disabled"]


@pytest.fixture
def parent(call: Call, words: list[str]) -> str:
    """The id of a run of a constant rate whose norms jump."""
    settings = [f"{name}={value}" for name, value in SMALLEST.items()]
    changes = ["schedule=constant", "max_steps=14", "eval_interval=7", "tokenizer=char", "lr=0.3", "grad_clip=None"]
    assert call("train", "--scale", "char", *settings, *changes, *words).status == 0
    return str(call("runs", "list", "--json").json()[0]["run_id"])


def test_forks_are_runs_of_their_own(call: Call, parent: str, words: list[str], tmp_path: Path) -> None:
    """List, show, verify and pack know them; the page has their table; the parent's study doesn't have them."""
    before = (Path("runs") / parent / "result.json").read_bytes()
    reply = call("fork", parent[:8], "--at-step", "5", "--at-step", "9", "--set", "grad_clip=0.5", *words)
    assert reply.status == 0, reply.err
    assert "to go on from: none" in reply.out
    assert f"Forks of run {parent}: its settings; changed: grad_clip=0.5." in reply.out
    assert "Scale" not in reply.out
    runs = {run["run_id"]: run for run in call("runs", "list", "--json").json()}
    forks = sorted(set(runs) - {parent})
    assert [name.split("-")[:3] for name in forks] == [[parent, "at", "5"], [parent, "at", "9"]]
    assert {runs[name]["study"] for name in forks} == {f"fork-of-{parent}"}
    assert runs[parent]["study"] == "train"
    assert "3 of 3 runs are sound" in call("runs", "verify").out
    shown = call("runs", "show", forks[0])
    assert f"A fork of run {parent} at step 5" in shown.out
    assert call("runs", "show", forks[0], "--json").json()["fork"] == {
        "parent": parent,
        "step": 5,
        "was": {"grad_clip": None},
    }
    compared = call("runs", "compare", *forks)
    assert "Their configs are the same." not in compared.out
    assert call("runs", "compare", *forks, "--json").json()["config"] == {"fork_step": [5, 9]}
    beside = call("runs", "compare", parent, forks[0], "--json").json()["config"]
    assert (beside["fork_parent"], beside["fork_step"]) == ([None, parent], [None, 5])
    page = Path("reports/out/study/index.html").read_text()
    assert "Would it have survived?" in page
    assert call("runs", "pack", "--out", str(tmp_path / "packed")).status == 0
    packed = str(tmp_path / "packed")
    assert "3 of 3 runs are sound" in call("runs", "verify", "--runs-dir", packed).out
    assert (Path("runs") / parent / "result.json").read_bytes() == before
    again = call("fork", parent, "--at-step", "5", "--set", "grad_clip=0.5", *words)
    assert "nothing to train" in again.out


def test_around_spikes_and_cooldowns(call: Call, parent: str, words: list[str]) -> None:
    """A fork before each spike of the rule, stopped behind it; a cooldown ends so many steps behind its fork."""
    from gptexp.measures.spikes import find_spikes

    rows = [json.loads(line) for line in (Path("runs") / parent / "records.jsonl").read_text().splitlines()]
    spikes = find_spikes([row["grad_norm"] for row in rows if row["kind"] == "step"])
    reply = call("fork", parent, "--around-spikes", "--set", "grad_clip=0.5", "--no-report", *words)
    if spikes:
        assert reply.status == 0, reply.err
        for spike in spikes:
            assert f"{parent}-at-{spike.step - 1}-" in reply.out
    else:
        assert reply.status == 2
        assert "has no natural spike" in reply.err
    assert call("fork", parent, "--at-step", "6", "--cooldown", "3", "--no-report", *words).status == 0
    cooled = [run for run in call("runs", "list", "--json").json() if run["max_steps"] == 9]
    assert [run["outcome"] for run in cooled] == ["completed"]


def test_forks_around_spikes_say_what_goes_on(
    call: Call, parent: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stop behind their spikes whenever --until-step is left out: the command again trains nothing and says so."""
    monkeypatch.setattr("gptexp.cli.fork.list_spike_forks", lambda parent: [5, 8])
    monkeypatch.setattr("gptexp.cli.fork.AFTER_SPIKE", 2)
    command = ["fork", parent, "--around-spikes", "--set", "grad_clip=0.5", "--no-report", *words]
    first, again = call(*command), call(*command)
    assert "Up to steps 8 to 11 only: the forks stay resumable" in first.out
    assert "All forks have got to steps 8 to 11, or are done; nothing to train." in again.out
    for reply in (first, again):
        assert reply.status == 0
        assert "Stopped where it was asked to: the same command with a later --until-step goes on." in reply.out
    later = call(*command, "--until-step", "12")
    assert later.out.count("stopped at step 12 of 14") >= 2


def test_what_cannot_be_forked_is_one_sentence(call: Call, parent: str, words: list[str]) -> None:
    """The value, what was expected, what to do."""
    for more, said in (
        ([], "one of the two"),
        (["--at-step", "3", "--around-spikes"], "one of the two"),
        (["--at-step", "3", "--set", "n_layer=3"], "n_layer can't change in a fork"),
        (["--at-step", "99"], "has the steps 1 to 14"),
        (["--at-step", "9", "--until-step", "9"], "--until-step 9 is not behind step 9"),
    ):
        reply = call("fork", parent, *more, *words)
        assert (reply.status, len(reply.sentences())) == (2, 1)
        assert said in reply.err


@pytest.mark.parametrize("outcome", ["stopped", "interrupted"])
def test_a_parent_that_goes_to_a_tracker_is_not_trained_on(
    call: Call, tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    """Its record is told to W&B, byte for byte as it was, and its checkpoints stay."""
    monkeypatch.chdir(tmp_path)
    job = make_job(Path("runs"), tiny_corpus, **{**SMALLEST, "max_steps": 8, "checkpoint_interval": 2})
    if outcome == "stopped":
        job = replace(job, until_step=5)
    asked = iter([False] * 4 + [True])
    assert execute(job, [], lambda: outcome == "interrupted" and next(asked), pytest.fail).outcome == outcome
    folder = Path(job.run_dir)
    before = {path: path.read_bytes() for name in ("re*.json*", "checkpoints/*/*") for path in folder.glob(name)}
    words = ["--at-step", "4", "--set", "grad_clip=0.5", "--corpus", str(tiny_corpus), "--no-report"]
    reply = call("fork", job.run_id, *words, "--wandb", "offline")
    assert {path: path.read_bytes() for path in before} == before
    assert reply.status == 0
    assert "mirrored from its record" in reply.out
    assert "Interrupted" not in reply.err
    assert "Stopped where" not in reply.out
    assert list(folder.glob("wandb/offline-run-*"))
    outcomes = {run["run_id"] == job.run_id: run["outcome"] for run in call("runs", "list", "--json").json()}
    assert outcomes == {True: outcome, False: "completed"}
