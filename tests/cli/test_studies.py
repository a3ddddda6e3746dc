from __future__ import annotations

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
    """A study file that doesn't load stands in the list with its error, and the others with their questions."""
    (experiments / "broken.py").write_text("STUDY = 1 / 0\n")
    rows = {row["name"]: row for row in call("studies", "--json").json()}
    assert "line 1: ZeroDivisionError" in rows["broken"]["error"]
    assert rows["broken"]["question"] is None
    assert rows["own-study"]["error"] is None
    reply = call("studies")
    assert reply.status == 0
    assert "does not load" in reply.out
    assert "Does it count?" in reply.out


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
