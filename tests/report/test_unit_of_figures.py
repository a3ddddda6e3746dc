"""No figure of a model of characters calls its losses per token."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.text import Text

from gptexp.report.figures.canvas import WIDE, Drawing
from gptexp.report.svg import drawing_style
from gptexp.report.tables import Table
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from tests.report.every_exhibit import make_contents

RECORDS = Path(__file__).parents[2] / "reports" / "published" / "2026-11" / "records"


@pytest.fixture(scope="module")
def studies() -> list[StudyRuns]:
    return [study for study in select_studies(load_frames(RECORDS)) if study.scale == "char"]


def test_every_figure_names_characters(studies: list[StudyRuns]) -> None:
    """Each figure of the published studies of characters, and each table's caption; most have a loss."""
    kinds = set()
    for study in studies:
        for kind, content in make_contents(study).items():
            if isinstance(content, Table):
                assert "nats per token" not in content.caption.lower(), (study.name, kind)
            if not isinstance(content, Drawing):
                continue
            texts = [content.caption, content.description]
            with drawing_style():
                texts += [text.get_text() for text in content.draw(WIDE).findobj(Text)]
            assert not [text for text in texts if "nats per token" in text], (study.name, kind)
            if any("nats per character" in text for text in texts):
                kinds.add(content.name)
    wanted = {"loss-curves", "lr-ladder", "final-val-loss", "scissors", "three-smoothings", "pinned-samples"}
    assert wanted <= kinds
