from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Call

GOOD = """\
\"\"\"Does it work?

Question    Does a study file of the working directory count?
\"\"\"
from gptexp.studies.study import Arm, Study

STUDY = Study(
    name="own-study",
    question="Does it count?",
    hypothesis="yes",
    source="",
    arms=(Arm("high", "high rate", {"lr": 1e-2}), Arm("low", "low rate", {"lr": 1e-5})),
    settings={"schedule": "constant"},
    scale_settings={"quick": {"max_steps": 9}},
    seeds=4,
)
"""


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiments folder in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "own_study.py").write_text(GOOD)
    return folder


def test_the_list_shows_name_arms_and_question(call: Call, experiments: Path) -> None:
    """The studies that come with gptexp and those of the working directory stand in one list."""
    reply = call("studies")
    assert reply.status == 0
    row = next(line for line in reply.out.splitlines() if line.startswith("own-study"))
    assert row.split() == ["own-study", "2", "Does", "it", "count?"]
    assert any(line.startswith("lr-ablation ") for line in reply.out.splitlines())


def test_a_broken_file_hides_no_other(call: Call, experiments: Path) -> None:
    """A study file that is no Python stands in the list with its error, and the others with their questions."""
    (experiments / "broken.py").write_text("STUDY = (\n")
    (experiments / "other.py").write_text("STUDIES = 1\n")
    rows = {row["name"]: row for row in call("studies", "--json").json()}
    assert "line 1: SyntaxError" in rows["broken"]["error"]
    assert "doesn't define STUDY" in rows["other"]["error"]
    assert rows["broken"]["question"] is None
    assert rows["own-study"]["error"] is None
    reply = call("studies")
    assert reply.status == 0
    assert "does not load" in reply.out
    assert "Does it count?" in reply.out


def test_listing_runs_nothing_that_nobody_named(call: Call, experiments: Path, tmp_path: Path) -> None:
    """`studies` and `doctor` read the files of this folder and run none; what can't be read is said to be so."""
    ran = tmp_path / "ran"
    attack = f"open({str(ran)!r}, 'w').close()\n"
    (experiments / "own_study.py").write_text(attack + GOOD)
    (experiments / "made.py").write_text(f"{attack}from somewhere import *\n")
    (experiments / "built.py").write_text(attack + GOOD.replace("own-study", "built").replace('"Does it c', 'Q + "c'))
    rows = {row["name"]: row for row in call("studies", "--json").json()}
    assert call("doctor", "--json", "--runs-dir", str(tmp_path / "runs")).status in (0, 1)
    out = call("studies").out
    assert not ran.exists()
    own = rows["own-study"]
    assert (own["question"], own["seeds"], own["was_run"], own["error"]) == ("Does it count?", 4, False, None)
    assert own["arms"][1] == {"name": "low", "label": "low rate", "settings": {"lr": 1e-5}}
    assert (own["settings"], own["scale_settings"]) == ({"schedule": "constant"}, {"quick": {"max_steps": 9}})
    assert own["file"] == str(experiments / "own_study.py")
    assert (rows["made"]["question"], rows["made"]["arms"], rows["made"]["error"]) == (None, None, None)
    assert (rows["built"]["question"], len(rows["built"]["arms"])) == (None, 2)
    assert rows["lr-ablation"]["was_run"]
    assert f"3 of them from {experiments}, read but not executed." in out
    assert "gptexp studies made" in out
    assert call("studies", "own-study").status == 0
    assert ran.exists()


def test_an_outline_is_what_the_study_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read without running, every study that came with gptexp is what it is when it runs, where it is written out."""
    from gptexp.studies.locate import find_files
    from gptexp.studies.outline import read_outline
    from gptexp.studies.study import load_study

    for stem, path in find_files("experiments").items():
        study, outline = load_study(stem), read_outline(path)
        for name in ("name", "question", "hypothesis", "source", "seeds", "first_seed"):
            assert outline[name] in (getattr(study, name), None), (stem, name)
        assert outline["question"] == study.question
        assert outline["arms"] is None or [arm["name"] for arm in outline["arms"]] == [arm.name for arm in study.arms]


@pytest.mark.parametrize(
    "text", ["\0", "STUDY = " + "(" * 5000, "STUDY = Study(**X)", "STUDY = Study(1, 2, arms=(A(),))"]
)
def test_files_that_are_odd(call: Call, experiments: Path, text: str) -> None:
    """Whatever stands in a file of this folder, the list is there."""
    (experiments / "odd.py").write_text(text)
    reply = call("studies")
    assert reply.status == 0
    assert "odd" in reply.out


def test_the_plan_names_the_file_of_a_study_of_this_folder(call: Call, experiments: Path, tmp_path: Path) -> None:
    """`plan` and `run` say which file of the working directory they run; gptexp's own need no word."""
    shape = ["--scale", "quick", "--corpus", str(experiments / "own_study.py"), "--runs-dir", str(tmp_path / "runs")]
    shape += ["--set", "tokenizer=char", "--set", "n_layer=1", "--set", "n_embd=8", "--set", "n_head=1"]
    shape += ["--set", "block_size=8", "--set", "batch_size=1", "--set", "max_steps=1", "--set", "eval_steps=1"]
    for words in (["plan"], ["run", "--dry-run"]):
        out = call(*words, "own-study", *shape).out
        assert f"A study of this folder: {experiments / 'own_study.py'}" in out
        assert "of this folder" not in call(*words, "clipping", *shape).out
    rows = call("plan", "own-study", *shape, "--json").json()
    assert {row["study_file"] for row in rows} == {str(experiments / "own_study.py")}


def test_the_plan_says_where_the_time_goes(call: Call, tmp_path: Path, experiments: Path) -> None:
    """Start-up, steps, evaluations, samples and the final evaluation: in words, and as numbers that add up."""
    shape = ["--corpus", str(experiments / "own_study.py"), "--runs-dir", str(tmp_path / "runs"), "--scale", "quick"]
    for change in ("tokenizer=char", "n_layer=1", "n_embd=8", "n_head=1", "block_size=8", "max_steps=1"):
        shape += ["--set", change]
    out = call("plan", "own-study", *shape).out
    parts = ("start-up", "steps", "evaluations", "samples", "final evaluation")
    assert re.search("One after the other: " + ", ".join(rf"{part} \d+ s" for part in parts), out)
    for row in call("plan", "own-study", *shape, "--json").json():
        assert list(row["seconds_by_part"]) == ["start_up", "steps", "evaluations", "samples", "final_evaluation"]
        assert sum(row["seconds_by_part"].values()) == pytest.approx(row["seconds"])
        assert min(row["seconds_by_part"].values()) > 0


def test_reports_and_ledgers_of_this_folder_are_named(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the code of a report or ledger file of the working directory runs, its path is said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports" / "ledger").mkdir(parents=True)
    files = {"report": tmp_path / "reports" / "study.py", "ledger": tmp_path / "reports" / "ledger" / "pretraining.py"}
    for path in files.values():
        path.write_text("raise RuntimeError('it ran')\n")
    for command, path in (("report", files["report"]), ("claims", files["ledger"])):
        caplog.clear()
        assert "it ran" in call(command).err
        assert next(record.getMessage() for record in caplog.records).endswith(f"of this folder: {path}")


def test_one_study_is_shown_with_header_arms_and_command(call: Call, experiments: Path) -> None:
    """`gptexp studies NAME` has all that one needs to judge and to run the study."""
    out = call("studies", "own-study").out
    for part in ("Question    Does a study file", "high rate", "lr=1e-05", "schedule=constant", "max_steps=9"):
        assert part in out
    assert out.rstrip().endswith("Command: gptexp run own-study")


def test_json_of_one_study_holds_the_settings(call: Call, experiments: Path) -> None:
    """Arms come with the settings that make them what they are, as values and not as text."""
    study = call("studies", "own-study", "--json").json()
    assert study["arms"][1] == {"name": "low", "label": "low rate", "settings": {"lr": 1e-5}}
    assert study["seeds"] == 4
    assert study["header"].startswith("Does it work?")


def test_a_broken_study_asked_for_by_name_is_an_error(call: Call, experiments: Path) -> None:
    """Naming a study that doesn't load exits with 2 and says where it stops."""
    (experiments / "broken.py").write_text("\nSTUDY = nonsense\n")
    reply = call("studies", "broken")
    assert reply.status == 2
    assert "broken.py, line 2: NameError" in reply.sentences()[0]


def test_fields_lists_every_config_field(call: Call) -> None:
    """Whoever wants to --set something finds its name, default and meaning."""
    from gptexp.config import RunConfig

    rows = call("studies", "--fields", "--json").json()
    assert [row["field"] for row in rows] == list(RunConfig.model_fields)
    assert {row["field"]: row["default"] for row in rows}["lr"] == 6e-4
    table = call("studies", "--fields").out
    assert "grad_clip" in table
    assert "Largest global gradient norm" in table
