"""Names that the operating system takes and text can't hold, and homes that aren't there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from gptexp.cli.carry_out import describe_command
from gptexp.data.corpus import cache_dir, load_corpus
from gptexp.errors import GptexpError
from gptexp.studies.execute import execute
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from gptexp.text import quote_words, spell_name
from tests.cli.conftest import TINY, Call, TinyRuns, drop_checksums

STRANGE = os.fsdecode(b"caf\xe9.txt")
"""A file's name in Latin-1, as Python spells it: no UTF-8, so half a surrogate pair."""
HALF = "\udce9"


@pytest.fixture
def strange_corpus(tiny_corpus: Path) -> Path:
    path = tiny_corpus.with_name(STRANGE)
    path.write_bytes(tiny_corpus.read_bytes())
    return path


def test_a_corpus_has_a_name_that_is_text(strange_corpus: Path) -> None:
    """Bytes that are no UTF-8 are spelled, so that two such files have two names."""
    corpus = load_corpus(str(strange_corpus))
    assert corpus.name == r"caf\xe9.txt"
    assert corpus.source.endswith(r"caf\xe9.txt")
    other = strange_corpus.with_name(os.fsdecode(b"caf\xe8\n.txt"))
    other.write_text("text")
    assert load_corpus(str(other)).name == r"caf\xe8\x0a.txt"


def test_a_run_on_such_a_corpus_leaves_text(call: Call, strange_corpus: Path, tmp_path: Path) -> None:
    """It trains, and list, show, claims, report and pack take it as any other; its record is UTF-8 throughout."""
    study = Study(name="names", question="?", hypothesis="", source="", arms=(Arm("one", "one"),))
    request = StudyRequest(study, find_scale("quick"), 1, {**TINY, "tokenizer": "char"}, str(strange_corpus))
    (item,) = plan_runs([request], tmp_path / "runs")
    item.run_dir.append_member(item.member())
    result = execute(item.job(f"gptexp run {HALF}"), [], lambda: False, pytest.fail)
    assert result.outcome == "completed"
    for name in ("config.json", "members.jsonl", "provenance.jsonl"):
        text = (item.run_dir.path / name).read_text()
        assert "udce9" not in text
    (again,) = plan_runs([request], tmp_path / "runs")
    assert again.status == "done"
    runs = ("--runs-dir", str(tmp_path / "runs"))
    out = str(tmp_path / "out")
    for command in (("runs", "list"), ("runs", "show", item.run.run_id), ("claims",), ("report", "--out", out)):
        reply = call(*command, *runs)
        assert reply.status == 0, reply.err
    assert r"caf\xe9.txt" in (tmp_path / "out" / "index.html").read_text()
    assert call("runs", "pack", "--out", str(tmp_path / "packed"), *runs).status == 0


def test_records_that_have_such_a_name_already_are_read(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """Half a surrogate pair in every text of a run costs its reader one sign, and no other run anything."""
    runs = tiny_runs.copy(tmp_path / "runs")
    drop_checksums(runs.folder / runs.char)

    def spoil(content: dict[str, object]) -> None:
        about = content["corpus"]
        assert isinstance(about, dict)
        about.update(name=STRANGE, source=f"the file {STRANGE}")

    runs.edit(runs.char, "config.json", spoil)
    runs.edit(runs.char, "result.json", lambda content: content.update(outcome_detail=HALF))
    for name, changes in (
        ("members.jsonl", {"label": HALF, "question": HALF, "hypothesis": HALF, "variant": {"corpus": STRANGE}}),
        ("provenance.jsonl", {"command": HALF, "cpu": HALF}),
    ):
        path = runs.folder / runs.char / name
        rows = [{**json.loads(line), **changes} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ("--runs-dir", str(runs.folder))
    assert "�" in call("runs", "list", *arguments).out
    assert [row["run_id"] for row in call("runs", "list", "--json", *arguments).json()]
    assert call("claims", *arguments).status == 0
    assert call("report", "--out", str(tmp_path / "page"), *arguments).status == 0
    page = (tmp_path / "page" / "index.html").read_text()
    assert runs.gpt2 in page
    assert runs.char in page
    assert call("runs", "pack", "--out", str(tmp_path / "packed"), *arguments).status == 0


@pytest.mark.parametrize(
    "command",
    [
        ["runs", "list", "--runs-dir", "~nosuchuser/x"],
        ["report", "--out", "~nosuchuser/x"],
        ["plan", "lr-ablation", "--scale", "quick", "--corpus", "~nosuchuser/x"],
        ["train", "--params", "~nosuchuser/x.json"],
        ["sweep", "~nosuchuser/x.yaml"],
        ["runs", "pack", "--out", "~nosuchuser/x"],
    ],
)
def test_a_home_that_nobody_knows_is_one_sentence(command: list[str], call: Call) -> None:
    """`~nosuchuser/x` names the user and a way out."""
    reply = call(*command)
    assert reply.status == 2
    (sentence,) = reply.err.splitlines()
    assert "knows no such home folder" in sentence


@pytest.mark.parametrize("variable", ["GPTEXP_RUNS_DIR", "GPTEXP_CACHE_DIR", "GPTEXP_DATA_DIR"])
def test_variables_take_a_home_too(
    variable: str, call: Call, tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` in a variable is the home folder, which no shell has put there; one that nobody knows is an error."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "~/here")
    command = ["runs", "list"] if variable == "GPTEXP_RUNS_DIR" else ["doctor", "--json"]
    reply = call(*command)
    assert not (tmp_path / "~").exists()
    assert str(tmp_path / "here") in reply.out + reply.err or variable == "GPTEXP_DATA_DIR"
    monkeypatch.setenv(variable, "~nosuchuser/x")
    reply = call(*command)
    assert "knows no such home folder" in reply.out + reply.err
    assert "Reinstall" not in reply.out


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the machine doesn't know."""

    def find(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "XDG_CACHE_HOME", "GPTEXP_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", find)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))


def test_without_a_home_there_is_a_cache(homeless: None, tmp_path: Path) -> None:
    """A process whose user has no home keeps tokens among the temporary files, in a folder that is its own."""
    folder = cache_dir()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(GptexpError, match="GPTEXP_CACHE_DIR"):
        cache_dir()


def test_a_user_without_a_home_can_work(
    call: Call, homeless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user id that the machine doesn't know, without HOME, as in many containers: nothing needs to be reinstalled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert call("runs", "list").status == 0
    assert call("plan", "lr-ablation", "--scale", "quick", "--corpus", "python-docs", "--set", "n_layer=1").status == 0
    checks = {check["check"]: check for check in call("doctor", "--json").json()}
    assert [name for name, check in checks.items() if "can't be checked" in check["detail"]] == []
    assert checks["cache"]["status"] == "ok"
    assert "not logged in" in checks["wandb"]["detail"]
    assert not (tmp_path / "~").exists()


def test_a_command_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell's word can't show is written as bash reads it: the same bytes."""
    monkeypatch.setattr("sys.argv", ["gptexp", "run", "a b", STRANGE, "\x1b[0m'\n"])
    command = describe_command()
    assert command == r"gptexp run 'a b' $'caf\xe9.txt' $'\x1b[0m\'\n'"
    command.encode()
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True).stdout
    assert [os.fsdecode(word) for word in words.split(b"\0")[:-1]] == ["gptexp", "run", "a b", STRANGE, "\x1b[0m'\n"]
    assert quote_words(["\ud800"]) == r"$'\xef\xbf\xbd'"


def test_names_are_spelled_in_one_line() -> None:
    """Controls and bytes are escapes, everything else is as it was."""
    assert spell_name("日本 é.txt") == "日本 é.txt"
    assert spell_name(os.fsdecode(b"\xff\n\x1b")) == r"\xff\x0a\x1b"


STRANGE_COMMANDS = [
    ["run", HALF],
    ["plan", HALF],
    ["plan", "lr-ablation", "--scale", HALF],
    ["plan", "lr-ablation", "--scale", "quick", "--set", f"sample_prompt={HALF}"],
    ["plan", "lr-ablation", "--scale", "quick", "--set", HALF],
    ["plan", "lr-ablation", "--scale", "quick", "--corpus", HALF],
    ["train", HALF],
    ["train", f"{HALF}.json"],
    ["train", f"lr={HALF}"],
    ["train", "--params", HALF],
    ["sweep", HALF],
    ["report", HALF],
    ["report", "--study", HALF],
    ["report", "--from", f"wandb:{HALF}/x"],
    ["claims", HALF],
    ["claims", "--ledger", HALF],
    ["studies", HALF],
    ["runs", "show", HALF],
    ["runs", "list", "--study", HALF],
    ["runs", "list", "--runs-dir", HALF],
    ["runs", "pack", "--out", HALF],
    ["sample", HALF],
    ["trace", f"a{HALF} b"],
    ["trace", f"a{HALF} b", "--tokenizer", "char"],
    ["bench", "--set", HALF],
    [HALF],
    [f"--{HALF}"],
]


@pytest.mark.parametrize("command", STRANGE_COMMANDS, ids=lambda command: ascii(" ".join(command)))
def test_an_argument_that_is_no_text_is_one_sentence(
    command: list[str], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are no UTF-8, wherever they stand on the command line: no internal error, and all is printable."""
    monkeypatch.chdir(tmp_path)
    reply = call(*command)
    assert reply.status in (0, 2), reply.err
    assert "internal error" not in reply.err
    (reply.out + reply.err).encode()
