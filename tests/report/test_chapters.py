"""Which of a study's instances stands for it on the page."""

from __future__ import annotations

from gptexp.report.build import choose_studies
from gptexp.runs.study_runs import StudyRuns
from tests.runs.made import make_study, run


def make(key: str, *arms: str, variant: str = "{}") -> StudyRuns:
    return make_study({arm: [run()] for arm in arms}, key=key, scale=key.partition("@")[2], variant=variant)


def test_a_whole_comparison_stands_before_a_single_arm_at_a_larger_scale() -> None:
    """Otherwise the largest scale does, and there the study as it is written."""
    lesson, char = make("s@lesson", "a"), make("s@char", "a", "b")
    assert choose_studies([lesson, char], ["s"]) == ({"s": char}, ["s@lesson"])
    lesson = make("s@lesson", "a", "b")
    assert choose_studies([char, lesson], ["s"]) == ({"s": lesson}, ["s@char"])
    changed = make("s@lesson", "a", "b", variant='{"lr": 1}')
    assert choose_studies([changed, lesson], ["s", "t"]) == ({"s": lesson}, ["s@lesson"])
