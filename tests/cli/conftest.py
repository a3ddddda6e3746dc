"""Tiny trained runs, and a way to call the command line without a process of its own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gptexp.cli.main import main
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.plan import PlannedRun, plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from tests.json_formats import check_document

TINY = {
    "n_layer": 2,
    "n_embd": 32,
    "n_head": 2,
    "block_size": 16,
    "batch_size": 2,
    "max_steps": 6,
    "eval_steps": 1,
    "eval_interval": 3,
    "sample_tokens": 5,
}


@dataclass(frozen=True)
class Reply:
    """What a command left."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """The document on stdout, which is of the format that it names."""
        assert self.out, self.err
        return check_document(json.loads(self.out, parse_constant=refuse_constant))

    def lines(self) -> list[Any]:
        """The documents of a command that prints one a line."""
        return [check_document(json.loads(line, parse_constant=refuse_constant)) for line in self.out.splitlines()]

    def sentences(self) -> list[str]:
        """The lines on stderr, without click's usage reminder."""
        reminders = ("Usage:", "Try ")
        return [line for line in self.err.splitlines() if line.strip() and not line.startswith(reminders)]


def strip_styles(text: str) -> list[str]:
    """The lines that a person sees in a terminal with colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


def refuse_constant(word: str) -> None:
    pytest.fail(f"{word} is not strict JSON")


Call = Callable[..., Reply]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `gptexp ARGUMENTS` as a process would, 100 columns wide."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Reply:
        monkeypatch.setattr("sys.argv", ["gptexp", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Reply(ended.value.code, captured.out, captured.err)

    return run


@dataclass(frozen=True)
class TinyRuns:
    """Two trained runs of the study `tiny`: GPT-2 tokens, and characters."""

    folder: Path
    gpt2: str
    char: str

    def copy(self, to: Path) -> TinyRuns:
        """The same runs where a test may damage them."""
        shutil.copytree(self.folder, to)
        return TinyRuns(to, self.gpt2, self.char)

    def edit(self, run_id: str, file: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change one JSON file of a run in place, as if it had always been so: without checksums."""
        path = self.folder / run_id / file
        content = json.loads(path.read_text())
        change(content)
        content.pop("seal", None)
        path.write_text(json.dumps(content))
        forget_checksums(self.folder / run_id)


def forget_checksums(run_dir: Path) -> None:
    """Make a run's result one from before there were checksums."""
    path = run_dir / "result.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in content.items() if key not in ("seal", "sums")}))


def drop_checksums(run_dir: Path) -> None:
    """Make a run what it was before there were any: nothing in it says that a value was changed."""
    for path in run_dir.glob("*.json*"):
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.suffix == ".jsonl" else []
        rows = rows or [json.loads(path.read_text())]
        for row in rows:
            row.pop("seal", None)
            row.pop("sums", None)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="session")
def trained_runs() -> dict[str, TinyRuns]:
    """Holds the runs once a test has asked for them: the corpus fixture lives for one test only."""
    return {}


@pytest.fixture
def tiny_runs(
    tiny_corpus: Path, trained_runs: dict[str, TinyRuns], tmp_path_factory: pytest.TempPathFactory
) -> TinyRuns:
    """The trained runs, to be read only."""
    if "tiny" not in trained_runs:
        trained_runs["tiny"] = train_tiny_runs(tiny_corpus, tmp_path_factory.mktemp("tiny") / "runs")
    return trained_runs["tiny"]


def plan_tiny_runs(corpus: Path, folder: Path) -> list[PlannedRun]:
    """The plan of a command that asks for the study `tiny`."""
    study = Study(
        name="tiny",
        question="Does it run?",
        hypothesis="",
        source="",
        arms=(Arm("tokens", "GPT-2 tokens"), Arm("characters", "characters", {"tokenizer": "char", "lr": 1e-3})),
    )
    return plan_runs([StudyRequest(study, find_scale("quick"), 1, TINY, str(corpus))], folder)


def train_tiny_runs(corpus: Path, folder: Path) -> TinyRuns:
    planned = plan_tiny_runs(corpus, folder)
    for item in planned:
        item.run_dir.append_member(item.member())
        job = Job(item.run, str(item.run_dir.path), str(corpus), "gptexp run tiny", item.member())
        assert execute(job, [], lambda: False, pytest.fail).outcome == "completed"
    return TinyRuns(folder, *(item.run.run_id for item in planned))
