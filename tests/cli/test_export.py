"""export, evaluate, and what sample can do with a model of another tool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call, TinyRuns


@pytest.fixture
def exported(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> Path:
    """The char run as a folder for transformers."""
    folder = tmp_path / "model"
    assert call("export", tiny_runs.char, "--out", str(folder), "--runs-dir", str(tiny_runs.folder)).status == 0
    return folder


def test_an_export_samples_as_its_run(call: Call, tiny_runs: TinyRuns, exported: Path) -> None:
    """The way out and back gives the same text for the same seed."""
    words = ("--prompt", "Ada ", "--tokens", "12")
    run = call("sample", tiny_runs.char, "--runs-dir", str(tiny_runs.folder), *words)
    back = call("sample", "--from-hf", str(exported), *words)
    assert back.status == 0
    assert back.out == run.out


def test_the_card_has_what_the_run_recorded(call: Call, tiny_runs: TinyRuns, exported: Path) -> None:
    """The model card names the run, its data, its config and the losses of its records."""
    card = (exported / "README.md").read_text(encoding="utf-8")
    result = call("runs", "show", tiny_runs.char, "--runs-dir", str(tiny_runs.folder), "--json").json()["result"]
    assert f"| train loss, mean of the last 10 steps | {result['final_train_loss']:.4f} |" in card
    assert f"{result['final_val_loss']:.4f} |" in card
    assert tiny_runs.char in card
    assert "teaching" in card
    assert str(tiny_runs.folder) not in card


def test_an_export_is_refused_where_other_files_are(call: Call, tiny_runs: TinyRuns, exported: Path) -> None:
    """Nothing of the user's is overwritten; the same export again is."""
    again = ("export", tiny_runs.char, "--out", str(exported), "--runs-dir", str(tiny_runs.folder))
    reply = call(*again, "--json").json()
    assert reply["file_format"] == "hf"
    assert "model.safetensors" in reply["files"]
    (exported / "notes.txt").write_text("mine", encoding="utf-8")
    reply = call(*again)
    assert reply.status == 2
    assert "notes.txt" in reply.sentences()[0]


def test_the_loss_is_the_recorded_one(call: Call, tiny_runs: TinyRuns, exported: Path, tiny_corpus: Path) -> None:
    """evaluate measures on the whole val split what the run recorded at its end; a folder gives the same."""
    corpus = ("--corpus", str(tiny_corpus))
    run = call("evaluate", tiny_runs.char, "--runs-dir", str(tiny_runs.folder), *corpus, "--json").json()
    folder = call("evaluate", "--from-hf", str(exported), *corpus, "--json").json()
    result = call("runs", "show", tiny_runs.char, "--runs-dir", str(tiny_runs.folder), "--json").json()["result"]
    assert run["val_loss"] == pytest.approx(result["final_val_loss"], abs=2e-3)
    assert folder["val_loss"] == pytest.approx(run["val_loss"], abs=1e-6)
    assert "uniform guess" in call("evaluate", "--from-hf", str(exported), *corpus).out


def test_another_text_of_the_same_name_is_not_the_runs_own(
    call: Call, tiny_runs: TinyRuns, tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --corpus the run's own text is taken, known by its checksum; a named one is taken as it is."""
    place = ("evaluate", tiny_runs.gpt2, "--runs-dir", str(tiny_runs.folder))
    monkeypatch.chdir(tmp_path)
    own, other = tmp_path / tiny_corpus.name, tiny_corpus.read_text(encoding="utf-8") + "More of it.\n"
    own.write_bytes(tiny_corpus.read_bytes())
    assert call(*place).status == 0
    own.write_text(other, encoding="utf-8")
    reply = call(*place)
    assert (reply.status, len(reply.sentences())) == (2, 1)
    assert "it is another text; name the one to take with --corpus" in reply.err
    assert call(*place, "--corpus", tiny_corpus.name).status == 0


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_one_model_is_named(call: Call, exported: Path, command: str) -> None:
    """A run or a folder: not both, not neither."""
    for words in ((), ("abc", "--from-hf", str(exported))):
        reply = call(command, *words)
        assert reply.status == 2
        assert "--from-hf" in reply.sentences()[0]


def test_several_samples(call: Call, tiny_runs: TinyRuns) -> None:
    """Each text has the seed after the one before it; the first is that of a single one."""
    base = ("sample", tiny_runs.char, "--runs-dir", str(tiny_runs.folder), "--prompt", "Ada ", "--tokens", "9")
    several = call(*base, "--samples", "3", "--json").json()
    assert [sample["seed"] for sample in several["samples"]] == [1337, 1338, 1339]
    assert len({sample["text"] for sample in several["samples"]}) == 3
    second = call(*base, "--seed", "1338", "--json").json()
    assert second["text"] == several["samples"][1]["text"]
    shown = call(*base, "--samples", "2").out
    assert "--- 2 of 2, seed 1338" in shown
    assert several["samples"][1]["text"] in shown


def test_milestones_are_the_recorded_samples(call: Call, tiny_runs: TinyRuns) -> None:
    """What the run wrote on its way, step by step, without its weights."""
    base = ("sample", tiny_runs.char, "--milestones", "--runs-dir", str(tiny_runs.folder))
    rows = call(*base, "--json").json()["samples"]
    assert rows
    shown = call(*base).out
    for row in rows:
        loss = row["train_loss"]
        at = "before the first step" if loss is None else f"train loss {loss:.3f}"
        assert f"--- step {row['step']:,}, {at}" in shown
    reply = call("sample", "--milestones")
    assert reply.status == 2
    assert "name one by its id" in reply.sentences()[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("RUN", "--milestones", "--temperature", "0.5"), "and --temperature decides nothing there"),
        (("RUN", "--milestones", "--step", "best"), "--checkpoint decides nothing there"),
        (("--from-hf", "FOLDER", "--step", "3"), "a folder has one model"),
        (("--from-hf", "nowhere"), "there is no folder nowhere"),
        (("RUN", "--step", "5"), "has no checkpoint of step 5, only of step"),
        (("RUN", "--temperature", "nan"), "is no number"),
        (("RUN", "--top-p", "nan"), "is no number"),
        (("RUN", "--temperature", "inf"), "is not finite"),
    ],
)
def test_options_without_effect_are_refused(
    call: Call, tiny_runs: TinyRuns, exported: Path, words: tuple[str, ...], sentence: str
) -> None:
    """Nothing that was asked for is left out in silence, and no number is none."""
    places = {"RUN": tiny_runs.char, "FOLDER": str(exported)}
    reply = call("sample", *(places.get(word, word) for word in words), "--runs-dir", str(tiny_runs.folder))
    assert reply.status == 2
    assert sentence in reply.sentences()[-1]


def test_no_sample_steers_the_terminal(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """Neither a recorded sample nor a drawn one, in any form: control characters, C1 ones too, come out spelled."""
    runs = tiny_runs.copy(tmp_path / "runs")
    log = runs.folder / runs.char / "records.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines()
    acting = "\x1b[2J \x9b31m \x07 \u202e"
    rows = [json.loads(line) for line in lines]
    rows = [row | ({"text": acting, "prompt": acting} if row["kind"] == "sample" else {}) for row in rows]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    base = ("sample", "--runs-dir", str(runs.folder))
    replies = [
        call(*base, runs.char, "--milestones"),
        call(*base, runs.char, "--milestones", "--json"),
        call(*base, runs.gpt2, "--prompt", acting, "--tokens", "9", "--samples", "2"),
        call(*base, runs.gpt2, "--prompt", acting, "--tokens", "9", "--samples", "2", "--json"),
    ]
    for reply in replies:
        assert reply.status == 0
        assert not set("\x1b\x9b\x07\u202e\r") & set(reply.out + reply.err)
