"""Every exhibit that there is of a study."""

from __future__ import annotations

import contextlib

from gptexp.report.exhibits import EXHIBITS, Content, NothingToShow, Source
from gptexp.runs.study_runs import StudyRuns


def make_contents(study: StudyRuns, *kinds: str) -> dict[str, Content]:
    """What the study has data for, by its kind; no kinds named means all."""
    made = {}
    for kind in kinds or EXHIBITS:
        with contextlib.suppress(NothingToShow):
            if content := EXHIBITS[kind](Source(study)):
                made[kind] = content
    return made
