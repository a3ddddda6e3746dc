"""Trackers and launchers by name, also those of other packages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.mirrors.protocol import build_trackers
from gptexp.mirrors.registry import choose_trackers
from gptexp.names import LAUNCHERS, TRACKERS
from gptexp.studies.launchers import LocalLauncher
from tests.boards import install_boards


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where another package with trackers is installed."""
    install_boards(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "boards", raising=False)
    return tmp_path / "site"


def test_known_names(boards: Path) -> None:
    """gptexp's own and those of other packages, of which nothing is imported; nobody takes the name of one of ours."""
    assert TRACKERS.names() == ["wandb", "trackio", "board", "broken", "number"]
    assert LAUNCHERS.names() == ["local", "slurm", "ray"]
    assert LAUNCHERS.find("local") is LocalLauncher
    assert TRACKERS.find("wandb").__module__ == "gptexp.mirrors.wandb_settings"
    assert "boards" not in sys.modules


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("wandbb", "there is no tracker 'wandbb'; did you mean wandb?"),
        ("mlflow", "there is no tracker 'mlflow'; known: board, broken, number, trackio, wandb"),
        (
            "broken",
            "the tracker 'broken' of boards (boards_broken:choose) can't be loaded (RuntimeError: no display); repair",
        ),
        (
            "number",
            "the tracker 'number' of boards (boards:NUMBER) can't be called; expected what makes a tracker",
        ),
    ],
)
def test_one_sentence_for_a_name_that_will_not_do(boards: Path, name: str, sentence: str) -> None:
    """It says what is known, or what is wrong with the package."""
    with pytest.raises(GptexpError) as refused:
        choose_trackers([name], {})
    assert str(refused.value).startswith(sentence)


def test_a_tracker_that_can_not_be_built() -> None:
    """It is left out with a note; the others are built."""

    class Broken:
        def build(self, run_dir: str, warn: Any) -> Any:
            raise RuntimeError("no display")

    class Fine(Broken):
        def build(self, run_dir: str, warn: Any) -> Any:
            return "a tracker"

    notes: list[str] = []
    assert build_trackers([Broken(), Fine()], "runs/x", notes.append) == ["a tracker"]  # type: ignore[list-item]
    assert notes == ["Broken failed and is left out: RuntimeError: no display"]
