"""A damaged file is noticed, or it changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.fuzz import fuzz
from tests.faults.world import make_world

COUNT = 40


@pytest.mark.slow
def test_damage_is_noticed_or_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations of every kind, in files of runs, packs and pages: none changes a number unnoticed, hangs or fails.

    `python -m tests.faults.fuzz --count 500` does it at length.
    """
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    world = make_world(tmp_path / "world")
    cases = list(fuzz(world, tmp_path / "scratch", count=COUNT, seed=20))
    assert [str(case) for case in cases if not case.is_good] == []
    assert sum(case.verdict == "noticed" for case in cases) > COUNT // 2
