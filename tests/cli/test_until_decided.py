"""`gptexp run --until-decided`: seeds are added until each comparison is decided, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptexp.comparisons.decisions import decide_first
from tests.cli.conftest import Call
from tests.studies.tiny import SMALLEST

STUDY = """
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="speeds",
    question="Which rate?",
    hypothesis="",
    source="",
    arms=(Arm("slow", "slow", {"lr": 1e-5}), Arm("fast", "fast", {"lr": 3e-2}), Arm("slower", "slower", {"lr": 9e-6})),
    settings={"schedule": "constant"},
)
"""


@pytest.fixture
def words(tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What comes behind `run speeds` or `plan speeds`."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "speeds.py").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    changes = {**SMALLEST, "max_steps": 8, "eval_interval": 8, "threads": 1}
    settings = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    return ["speeds", "--scale", "char", "--corpus", str(tiny_corpus), *settings, "--until-decided"]


@pytest.fixture
def options() -> list[str]:
    """Of a run."""
    return ["--jobs", "1", "--wandb", "disabled"]


def test_it_adds_seeds_until_each_comparison_is_decided(call: Call, words: list[str], options: list[str]) -> None:
    """Each arm gets the seeds that its decision takes; asked again, it trains nothing and says the same."""
    limits = ["--detect", "0.5", "--max-seeds", "9"]
    reply = call("run", *words, *limits, *options, "--json", "--no-report")
    assert reply.status == 0, reply.err
    found = reply.lines()
    assert [one["seeds"] for one in found] == list(range(3, 3 + len(found)))
    last = {row["arm"]: row for row in found[-1]["comparisons"]}
    assert {row["reference"] for row in last.values()} == {"slow"}
    assert last["fast"]["word"] == "lower"
    assert last["slower"]["word"] in ("closer", "lower", "higher")
    assert all(row["low"] <= row["mean"] <= row["high"] for row in last.values())
    assert any(row["word"] == "undecided" for one in found[:-1] for row in one["comparisons"]) == (len(found) > 1)
    runs = call("runs", "list", "--json").json()
    assert {run["outcome"] for run in runs} == {"completed"}
    seeds = {arm: sum(run["arm"] == arm for run in runs) for arm in ("slow", "fast", "slower")}
    assert {arm: seeds[arm] for arm in last} == {arm: row["n_pairs"] for arm, row in last.items()}
    again = call("run", *words, *limits, *options, "--json", "--no-report")
    assert again.lines() == found
    assert len(call("runs", "list", "--json").json()) == len(runs)


def test_interrupted_it_goes_on(
    call: Call, words: list[str], options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds that are there count; what was asked for in between with fewer seeds does no harm."""
    single = [word for word in words if word != "--until-decided"]
    assert call("run", *single, *options, "--seeds", "1", "--no-report").status == 0
    limits = ["--detect", "0.5", "--max-seeds", "3"]
    assert call("run", *words, *limits, *options, "--no-report").status == 0
    out = call("run", *words, *limits, *options).out
    assert "after 3 of at most 3 seeds, detect 0.5:" in out
    page = Path("reports/out/study/index.html").read_text()
    assert "Decided, looking after every seed" in page
    assert "however often one looks" in page
    assert "fixed before" in page
    assert "paired differences" not in out


def test_arms_of_other_tokens_are_not_decided(call: Call, words: list[str], options: list[str]) -> None:
    """No comparison is no decision: one round, a sentence, and a status that says so."""
    study = STUDY.replace("speeds", "tokens").replace("3e-2", '3e-2, "tokenizer": "gpt2"')
    study = study.replace(', Arm("slower", "slower", {"lr": 9e-6})', "")
    Path("experiments/tokens.py").write_text(study)
    reply = call("run", "tokens", *words[1:], "--detect", "0.5", *options, "--json", "--no-report")
    assert reply.status == 1
    assert [(one["seeds"], one["comparisons"]) for one in reply.lines()] == [(3, [])]
    assert "nothing is decided of study tokens: no two of its arms learn from the same texts" in reply.err
    assert len(call("runs", "list", "--json").json()) == 6


def test_interrupted_it_says_so_in_json(
    call: Call, words: list[str], options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line is no decision."""
    monkeypatch.setattr("gptexp.studies.runner.run_plan", lambda planned, *_, **__: {planned[0].run.run_id: None})
    reply = call("run", *words, "--detect", "0.5", *options, "--json")
    said = reply.json()
    assert (reply.status, said["format"], said["exit_status"]) == (130, "gptexp.error/1", 130)
    assert said["error"] == "interrupted; the same command goes on where it stopped"


def test_the_plan_is_the_most_that_it_can_cost(call: Call, words: list[str]) -> None:
    """All arms at all seeds; the sentence says that it is the most."""
    assert len(call("plan", *words, "--detect", "0.5", "--json").json()) == 3 * 12
    out = " ".join(call("plan", *words, "--detect", "0.5", "--max-seeds", "4").out.split())
    assert "the most that this can cost, 4 seeds an arm" in out
    assert "12 to train" in out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "add --detect 0.02"),
        (["--detect", "0.1", "--until-step", "3"], "--until-step leaves out"),
        (["--detect", "0.1", "--seeds", "2"], "the seeds before the first look, 3 to 12"),
        (["--detect", "0"], "--detect"),
        (["--detect", "0.1", "--max-seeds", "2"], "--max-seeds"),
        (["--detect", "0.1", "--set", "max_steps=0"], "study speeds trains no step"),
        (["--detect", "0.1", "--arm", "slow"], "study speeds has one arm to train"),
    ],
)
def test_what_does_not_go_together_is_said(call: Call, words: list[str], more: list[str], said: str) -> None:
    """One sentence, nothing trained."""
    reply = call("run", *words, *more)
    assert (reply.status, len(reply.sentences())) == (2, 1)
    assert said in reply.err


def test_the_options_belong_to_until_decided(call: Call, words: list[str]) -> None:
    """Alone they would be passed over in silence."""
    for more in (["--detect", "0.1"], ["--max-seeds", "5"]):
        reply = call("run", *words[:-1], *more)
        assert reply.status == 2
        assert "--until-decided" in reply.err


def test_a_decision_stands() -> None:
    """Seeds that come behind the decision change neither it nor its numbers."""
    told = decide_first([0.1, 0.1001, 0.1002], 0.01, 0.95)
    assert told[4] == "higher"
    assert decide_first([0.1, 0.1001, 0.1002, -5.0, 3.0], 0.01, 0.95) == told
    assert decide_first([0.1], 0.01, 0.95) == (1, 0.1, None, None, "undecided")
    assert decide_first([], 0.01, 0.95)[4] == "undecided"
