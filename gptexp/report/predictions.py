"""What a study predicted, whether before its runs, and whether it was right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from gptexp.claims.ledger import Claim
from gptexp.claims.measurements import MIN_SEEDS, measure
from gptexp.claims.words import write_measurement
from gptexp.errors import GptexpError
from gptexp.runs.study_runs import StudyRuns
from gptexp.studies.prediction import Prediction, decode_predictions, hash_predictions
from gptexp.text import clean_text
from gptexp.wording import count_things

WHEN = {
    "before": "Predicted before the runs",
    "after": "Written afterwards",
    "changed": "Changed after the first runs",
}
"""How a study's predictions were entered."""
HOW = {"confirmed": "right", "refuted": "wrong"}
"""Verdict -> how a prediction turned out; every other one leaves it undecided."""


def tell_predictions(study: StudyRuns) -> Iterator[tuple[str, str]]:
    """(when it was entered, sentence) of each prediction of a study: `("Predicted before the runs", "Warmup ... (right:
    1.886 against 1.902; entered 2026-11-26, hash 1a2b3c4d5e6f)")`.
    """
    if study.foretold not in WHEN:
        return
    mark = f"entered {study.entered_at[:10]}, hash {hash_predictions(study.predictions)}"
    for one in decode_predictions(study.predictions):
        yield WHEN[study.foretold], f"{clean_text(one.says).rstrip('.')}. {_judge(one, study)}; {mark}."


def _judge(one: Prediction, study: StudyRuns) -> str:
    """`Right: 1.886 against 1.902`, `Undecided: 1.886 against 1.902, 1 seed can't decide it`."""
    claim = Claim(name="prediction", places=(), study=study.name, **{f.name: getattr(one, f.name) for f in fields(one)})
    try:
        found = measure(claim, study)
    except GptexpError:
        return "Undecided: this version of gptexp can't measure it"
    if found is None or not found.n:
        return "Undecided: no run can tell yet"
    word = HOW.get(found.verdict, "undecided").capitalize()
    if found.incomparable:
        return f"{word}: {found.incomparable}"
    few = f", {count_things(found.n, 'seed')} can't decide it" if word == "Undecided" and found.n < MIN_SEEDS else ""
    return f"{word}: {write_measurement(claim, found)}{few}"
