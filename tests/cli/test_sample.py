from __future__ import annotations

import json
import shutil
from pathlib import Path

from gptexp.checksums import seal, unseal
from tests.cli.conftest import Call, TinyRuns


def test_the_prompt_is_continued(call: Call, tiny_runs: TinyRuns) -> None:
    """The text starts with the prompt and goes on with the tokens that were asked for, one character each."""
    arguments = ("sample", tiny_runs.char, "--runs-dir", str(tiny_runs.folder), "--prompt", "Ada ", "--tokens", "12")
    reply = call(*arguments)
    assert reply.status == 0
    assert reply.out.startswith("Ada ")
    sample = call(*arguments, "--json").json()
    assert len(sample["text"]) == len("Ada ") + 12
    assert sample["step"] == 6


def test_the_seed_decides_the_text(call: Call, tiny_runs: TinyRuns) -> None:
    """The same seed writes the same text again, another seed another one; at temperature 0 the seed decides nothing."""
    base = ("sample", tiny_runs.gpt2[:6], "--runs-dir", str(tiny_runs.folder), "--prompt", "Bo", "--tokens", "10")
    first, again, other = (call(*base, "--seed", seed).out for seed in ("1", "1", "2"))
    assert first == again != other
    greedy = [call(*base, "--temperature", "0", "--seed", seed).out for seed in ("1", "2")]
    assert greedy[0] == greedy[1] != first
    assert call(*base, "--top-k", "1").out == greedy[0]


def test_a_stranger_in_the_prompt_is_named(call: Call, tiny_runs: TinyRuns) -> None:
    """A char model says which character it doesn't know, in one sentence."""
    reply = call("sample", tiny_runs.char, "--runs-dir", str(tiny_runs.folder), "--prompt", "Ada é")
    assert reply.status == 2
    assert len(reply.sentences()) == 1
    assert "'é'" in reply.err


def test_an_empty_prompt_is_refused(call: Call, tiny_runs: TinyRuns) -> None:
    """There has to be something to continue."""
    reply = call("sample", tiny_runs.gpt2, "--runs-dir", str(tiny_runs.folder), "--prompt", "")
    assert reply.status == 2
    assert "empty" in reply.sentences()[0]


def test_a_run_without_a_checkpoint_is_one_sentence(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """Without weights there is no text, and the message says so."""
    runs = tiny_runs.copy(tmp_path / "runs")
    shutil.rmtree(runs.folder / runs.gpt2 / "checkpoints")
    reply = call("sample", runs.gpt2, "--runs-dir", str(runs.folder))
    assert reply.status == 2
    assert len(reply.sentences()) == 1
    assert "no checkpoint" in reply.err


def test_a_damaged_checkpoint_gives_way_to_the_one_before(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """The newest readable weights are used, a word on stderr says which; with none left it is an error."""
    runs = tiny_runs.copy(tmp_path / "runs")
    checkpoints = runs.folder / runs.gpt2 / "checkpoints"
    shutil.copytree(checkpoints / "step-00000006", checkpoints / "step-00000009")
    weights = checkpoints / "step-00000009" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"oops")
    arguments = ("sample", runs.gpt2, "--runs-dir", str(runs.folder), "--tokens", "3")
    reply = call(*arguments, "--json")
    assert reply.json()["step"] == 6
    assert "step-00000009" in reply.sentences()[0]
    shutil.rmtree(checkpoints / "step-00000006")
    reply = call(*arguments)
    assert reply.status == 2
    assert len(reply.sentences()) == 1
    assert "can be read" in reply.err


def test_a_checkpoint_is_chosen_by_step_or_as_the_best(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """--checkpoint takes a step, best (lowest val loss) or last; for one that isn't kept, those that are are listed."""
    runs = tiny_runs.copy(tmp_path / "runs")
    run_dir = runs.folder / runs.gpt2
    for step in (3, 9):
        copied = run_dir / "checkpoints" / f"step-{step:08d}"
        shutil.copytree(run_dir / "checkpoints" / "step-00000006", copied, dirs_exist_ok=True)
        state = copied / "state.json"
        state.write_text(json.dumps(seal(unseal(json.loads(state.read_text())) | {"step": step})))
    log = run_dir / "records.jsonl"
    best = '{"kind": "eval", "step": 3, "val_loss": 0.5, "val_bpb": 1.0, "val_tokens": 9, "whole": false}\n'
    log.write_text(log.read_text() + best)

    def step_of(choice: str) -> int:
        arguments = ("--runs-dir", str(runs.folder), "--tokens", "1", "--checkpoint", choice, "--json")
        step: int = call("sample", runs.gpt2, *arguments).json()["step"]
        return step

    assert [step_of(choice) for choice in ("best", "6", "last")] == [3, 6, 9]
    reply = call("sample", runs.gpt2, "--runs-dir", str(runs.folder), "--checkpoint", "5")
    assert reply.status == 2
    assert "3, 6, 9" in reply.sentences()[0]
    assert call("sample", runs.gpt2, "--runs-dir", str(runs.folder), "--checkpoint", "worst").status == 2


def test_the_text_cannot_steer_the_terminal(call: Call, tiny_runs: TinyRuns) -> None:
    """Control characters come out spelled."""
    reply = call(
        "sample", tiny_runs.gpt2, "--runs-dir", str(tiny_runs.folder), "--prompt", "a\x1b[31m", "--tokens", "1"
    )
    assert "\x1b" not in reply.out
    assert "\\u001b[31m" in reply.out


def test_another_vocabulary_is_refused(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """A vocabulary that isn't the one that was trained would turn ids into nonsense, so it is an error."""
    runs = tiny_runs.copy(tmp_path / "runs")
    runs.edit(runs.char, "config.json", lambda content: content["tokenizer"].update(vocabulary="xyz"))
    reply = call("sample", runs.char, "--runs-dir", str(runs.folder), "--prompt", "x")
    assert reply.status == 2
    assert "checksum" in reply.sentences()[0]
