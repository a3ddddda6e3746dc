"""What lies in reports/published still follows from the records beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptexp.report.build import make_report
from gptexp.runs.verify_pack import verify_pack

PUBLISHED = sorted(Path(__file__).parents[2].glob("reports/published/*"))


@pytest.mark.slow
@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_numbers_follow_from_the_packed_records(folder: Path) -> None:
    """Made anew without training, every table and every verdict is the published one.

    (Pictures may differ by the versions of the libraries that draw them; `report --check` holds them to the bytes.)
    """
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# Largest scale: ")
    fresh = make_report("lesson", runs_dir=folder / "records").files
    numbers = [
        name for name in fresh if name == "claims.json" or (name.startswith("tables/") and name.endswith(".csv"))
    ]
    assert len(numbers) > 10
    for name in numbers:
        content = fresh[name]
        text = content.decode() if isinstance(content, bytes) else content
        assert text == (folder / "page" / name).read_text(encoding="utf-8"), f"{name}: make the page anew"


@pytest.mark.slow
@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_records_are_sound(folder: Path) -> None:
    """Each run's records give every number of its result, also of results that older versions wrote."""
    verdicts = verify_pack(folder / "records")
    assert len(verdicts) > 200
    assert {run_id: verdict.problems for run_id, verdict in verdicts.items() if verdict.problems} == {}
