"""Advice is true: what a message says to type does what the message says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gptexp.cli import doctor_setup
from gptexp.mirrors.wandb_server import advise_sync
from tests.cli.conftest import TINY, Call, Reply, TinyRuns

ROOT = Path(__file__).parents[2]


def commands(text: str) -> list[list[str]]:
    """The commands of gptexp in a message, in their order, as a shell splits them."""
    return [shlex.split(found)[1:] for found in re.findall(r"`(gptexp [^`]+)`", text)]


def test_a_run_whose_weights_were_removed(call: Call, tmp_path: Path, tiny_corpus: Path) -> None:
    """`sample` after `runs gc --weights` says what happened; its two commands, in their order, bring weights back."""
    runs_dir = tmp_path / "my runs"
    fields = [f"{name}={value}" for name, value in {**TINY, "max_steps": 2, "tokenizer": "char"}.items()]
    words = ["train", *fields, "--scale", "quick", "--corpus", str(tiny_corpus), "--runs-dir", str(runs_dir)]
    assert call(*words, "--wandb", "disabled").status == 0
    (run,) = [path.name for path in runs_dir.iterdir() if path.is_dir()]
    sample = ["sample", run, "--prompt", "A", "--tokens", "2", "--runs-dir", str(runs_dir)]
    assert call(*sample).status == 0
    assert call("runs", "gc", "--weights", "--runs-dir", str(runs_dir)).status == 0
    reply = call(*sample)
    assert reply.status == 2
    assert "never trained" not in reply.err
    assert "they were removed, as `gptexp runs gc --weights` does" in reply.err
    _, remove, train, listing = commands(reply.err)
    assert (remove[:2], train[0], listing[:2]) == (["runs", "rm"], "train", ["runs", "list"])
    for advised in (remove, train, listing):
        assert call(*advised).status == 0
    assert call(*sample).status == 0


def damage(runs: TinyRuns, run: str) -> None:
    """Leave no checkpoint that can be read."""
    for weights in (runs.folder / run / "checkpoints").glob("*/model.safetensors"):
        weights.write_bytes(b"nonsense")


def test_weights_that_are_damaged(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """A run that is done would not be trained by its command alone: the advice removes it first."""
    runs = tiny_runs.copy(tmp_path / "runs")
    damage(runs, runs.char)
    reply = call("sample", runs.char, "--runs-dir", str(runs.folder))
    assert reply.status == 2
    assert commands(reply.err)[0] == ["runs", "rm", runs.char, "--runs-dir", str(runs.folder)]


@pytest.mark.parametrize(("file", "content"), [("config.json", "{}"), ("config.json", "[")])
def test_a_config_that_is_damaged(call: Call, tiny_runs: TinyRuns, tmp_path: Path, file: str, content: str) -> None:
    """Both that can be read and that can't: a command is named."""
    runs = tiny_runs.copy(tmp_path / "runs")
    (runs.folder / runs.char / file).write_text(content)
    for command in (["sample"], ["runs", "show"]):
        reply = call(*command, runs.char, "--runs-dir", str(runs.folder))
        assert (reply.status, len(reply.sentences())) == (2, 1)
        assert commands(reply.err)


def test_a_run_that_was_stopped_early(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """Without a result and without weights, its own command goes on; without records, it was never trained."""
    runs = tiny_runs.copy(tmp_path / "runs")
    folder = runs.folder / runs.char
    (folder / "result.json").unlink()
    for checkpoint in (folder / "checkpoints").glob("step-*"):
        checkpoint.rename(tmp_path / checkpoint.name)
    reply = call("sample", runs.char, "--runs-dir", str(runs.folder))
    assert "stopped before its first checkpoint; `gptexp run tiny` resumes it" in reply.err
    (folder / "records.jsonl").unlink()
    reply = call("sample", runs.char, "--runs-dir", str(runs.folder))
    assert "it was never trained" in reply.err
    assert call(*commands(reply.err)[0]).status == 0


def test_advice_is_about_the_folder_that_was_named(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """What is advised about runs in a folder of one's own names that folder, quoted for a shell."""
    folder = str(tmp_path / "my runs")
    tiny_runs.copy(Path(folder))
    empty = tmp_path / "an empty folder"
    empty.mkdir()

    def advised(reply: Reply) -> list[str]:
        return commands(reply.err + reply.out)[0]

    assert advised(call("runs", "show", "nonesuch", "--runs-dir", folder)) == ["runs", "list", "--runs-dir", folder]
    assert advised(call("runs", "list", "--runs-dir", str(empty)))[-2:] == ["--runs-dir", str(empty)]
    assert advised(call("report", "--runs-dir", str(empty)))[-2:] == ["--runs-dir", str(empty)]
    checked = advised(call("report", "--check", "--runs-dir", folder, "--out", str(empty)))
    assert checked == ["report", "study", "--out", str(empty), "--runs-dir", folder]
    assert commands(advise_sync(f"{folder}/0123456789ab")) == [["runs", "sync", "0123456789ab", "--runs-dir", folder]]
    (claim, *_) = call("claims", "constant-6e-4-explodes", "--runs-dir", folder, "--json").json()
    assert shlex.split(claim["command"])[-2:] == ["--runs-dir", folder]


def test_the_usual_folder_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`runs`, or what GPTEXP_RUNS_DIR names, is where commands look by themselves."""
    assert "--runs-dir" not in advise_sync("runs/0123456789ab")
    monkeypatch.setenv("GPTEXP_RUNS_DIR", "/elsewhere")
    assert "--runs-dir" not in advise_sync("/elsewhere/0123456789ab")
    assert "--runs-dir runs`" in advise_sync("runs/0123456789ab")


def test_what_keeps_runs_from_being_sent(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runs sync` names what is missing, no more; doctor says both where both are to be done."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for key, mode, expected in (
        (None, None, "here: run `wandb login`"),
        ("k" * 40, "offline", "here: run `unset WANDB_MODE`"),
        (None, "offline", "here: run `wandb login` and run `unset WANDB_MODE`"),
        (None, "online", "here: run `wandb login`"),
    ):
        for name, value in (("WANDB_API_KEY", key), ("WANDB_MODE", mode)):
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        assert call("runs", "sync", "--runs-dir", str(tmp_path)).err.strip().endswith(expected)
        check = doctor_setup.check_wandb()
        if key is None and mode == "offline":
            assert "WANDB_MODE unset" in check.advice
        if mode == "online":
            assert "WANDB_MODE=online needs a W&B account" in check.detail


@pytest.fixture
def pack(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> Path:
    """Packed records of two runs."""
    made = tmp_path / "pack"
    assert call("runs", "pack", "--out", str(made), "--runs-dir", str(tiny_runs.folder)).status == 0
    return made


@pytest.mark.parametrize(
    "words",
    [
        ("run", "lr-ablation", "--scale", "quick", "--wandb", "disabled"),
        ("plan", "lr-ablation", "--scale", "quick"),
        ("train", "lr=1e-3", "--scale", "quick", "--wandb", "disabled"),
        ("fork", "RUN", "--at-step", "3", "--wandb", "disabled"),
        ("sweep", str(ROOT / "sweep.yaml"), "--trials", "1", "--scale", "quick", "--wandb", "disabled"),
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_trained_to_a_pack(
    call: Call, pack: Path, tiny_runs: TinyRuns, tiny_corpus: Path, words: tuple[str, ...]
) -> None:
    """Its runs would be read by nobody: one sentence, and the pack is as it was."""
    before = sorted(path.name for path in pack.iterdir())
    named = [tiny_runs.char if word == "RUN" else word for word in words]
    reply = call(*named, "--corpus", str(tiny_corpus), "--runs-dir", str(pack))
    assert (reply.status, len(reply.sentences())) == (2, 1)
    assert f"{pack} holds packed records, to which no run can be trained; name another folder" in reply.err
    assert sorted(path.name for path in pack.iterdir()) == before


def test_what_a_pack_lacks_is_trained_elsewhere(call: Call, pack: Path, tiny_runs: TinyRuns) -> None:
    """The commands that would measure more leave the pack out; a run that is packed is no run that isn't there."""
    place = ("--runs-dir", str(pack))
    reply = call("power", "lr-ablation", "--detect", "0.02", *place)
    assert reply.status == 2
    assert reply.err.rstrip().endswith("first: gptexp run lr-ablation --seeds 3")
    rows = call("claims", *place, "--json").json()
    assert not [row["command"] for row in rows if str(pack) in str(row["command"])]
    for words in (("show", tiny_runs.char), ("export", tiny_runs.char, "--format", "csv")):
        reply = call("runs", *words, *place)
        assert (reply.status, len(reply.sentences())) == (2, 1)
        assert f"holds packed records, without the folder of run '{tiny_runs.char}'" in reply.err
