"""`--until-step` on the command line: what is asked, what is shown, and what every command makes of such a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Call

STUDY = [
    "lr-ablation",
    "--scale",
    "quick",
    *(word for name, value in TINY.items() for word in ("--set", f"{name}={value}")),
]
SMALL = ["--set", "tokenizer=char", "--set", "threads=1", "--set", "max_steps=8"]


@pytest.fixture
def asked(tiny_corpus: Path, tmp_path: Path) -> list[str]:
    return [*STUDY, *SMALL, "--corpus", str(tiny_corpus), "--runs-dir", str(tmp_path / "runs")]


def test_a_study_up_to_a_step_and_on(
    call: Call, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 0 when all runs got there; the plan, the list, the page and the checks know what they are."""
    monkeypatch.chdir(tmp_path)
    runs = ["--runs-dir", str(tmp_path / "runs")]
    (first, *_) = call("plan", *asked, "--until-step", "5", "--json").json()
    assert (first["status"], first["until_step"], first["max_steps"]) == ("new", 5, 8)
    assert first["seconds_by_part"]["final_evaluation"] == 0
    reply = call("run", *asked, "--until-step", "5", "--wandb", "disabled", "--no-report", "--jobs", "2")
    assert reply.status == 0, reply.err
    assert "Up to step 5 only" in reply.out
    assert "stopped at step 5 of 8, train loss" in reply.out
    for row in call("runs", "list", "--outcome", "stopped", "--json", *runs).json():
        assert (row["last_step"], row["max_steps"], row["final_train_loss"], row["final_val_loss"]) == (
            5,
            8,
            None,
            None,
        )
    assert "stopped at 5 of 8" in call("runs", "list", *runs).out
    shown = call("runs", "show", row["run_id"], *runs)
    assert "stopped at step 5 of 8, can be resumed" in shown.out
    assert call("runs", "verify", *runs).status == 0
    again = call("plan", *asked, "--until-step", "4", "--json").json()
    assert {(one["status"], one["seconds"]) for one in again} == {("reached", 0)}
    assert "nothing to train" in call("run", *asked, "--until-step", "5", "--wandb", "disabled", "--no-report").out
    assert call("runs", "gc", "--weights", *runs).status == 0
    assert call("runs", "pack", "--out", str(tmp_path / "pack"), *runs).status == 0
    assert call("runs", "verify", "--runs-dir", str(tmp_path / "pack")).status == 0
    packed = call("runs", "list", "--json", "--runs-dir", str(tmp_path / "pack")).json()
    assert {one["outcome"] for one in packed} == {"stopped"}
    (more, *_) = call("plan", *asked, "--json").json()
    assert (more["status"], more["from_step"], more["until_step"]) == ("resumable", 5, 8)


@pytest.mark.parametrize("value", ["0", "-3", "2.5", "many"])
def test_a_step_that_is_none_gets_one_sentence(call: Call, asked: list[str], value: str) -> None:
    """It names the value; nothing is begun."""
    reply = call("run", *asked, "--until-step", value)
    assert reply.status == 2
    (sentence,) = reply.sentences()
    assert value in sentence


def test_a_trial_of_a_sweep_is_trained_whole(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handed out again because it is not finished, it would never end."""
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    reply = call("train", "max_steps=8", "--until-step", "4")
    assert reply.status == 2
    assert "--until-step has no place in a sweep" in reply.err
