"""Losses per character say so, and stand beside the lesson's unit, nats per GPT-2 token."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pandas as pd
import pytest

from gptexp.data.batches import load_tokens
from gptexp.data.corpus import TINYSHAKESPEARE_SHA256, load_corpus
from gptexp.data.units import GPT2_TOKENS
from gptexp.report.figures.canvas import NARROW, WIDE
from gptexp.report.figures.pinned import pinned_samples
from gptexp.report.findings import state_findings
from gptexp.report.samples import collect_samples
from gptexp.report.tables import results_table
from gptexp.report.units import find_unit
from gptexp.runs.study_runs import StudyRuns
from tests.data.test_batches import REAL_TEXT
from tests.runs.made import evals, make_study, run, steps

CHARACTERS = {
    "tokenizer": "char",
    "corpus_checksum": TINYSHAKESPEARE_SHA256,
    "train_tokens": 1_003_854.0,
    "val_tokens": 111_540.0,
}
NOTHING = {"flags": "", "flag_notes": "", "corpus_fallback": False, "best_val_loss": 2.0, "tokens_seen": 100.0}
LOSSES = [4.1875, *[4.0 - 0.02 * step for step in range(1, 100)]]


def make_milestones(**fields: Any) -> StudyRuns:
    """One run of 100 steps with a sample of the untrained model, one at a milestone and one at the end."""
    row = run(1, initial_val_loss=4.25, final_val_loss=2.0, final_train_loss=2.11, **(NOTHING | fields))
    study = make_study({"a": [row]}, steps(LOSSES), evals({100: 2.0}))
    samples = [
        {"step": 0, "trigger": "initial", "threshold": math.nan, "train_loss": math.nan},
        {"step": 60, "trigger": "loss", "threshold": 3.0, "train_loss": 2.91},
        {"step": 100, "trigger": "final", "threshold": math.nan, "train_loss": 2.11},
    ]
    whole = [{"run_id": "a-1", "arm": "a", "seed": 1, "prompt": "\n", "text": "\nThe", **one} for one in samples]
    return dataclasses.replace(study, samples=pd.DataFrame(whole))


def test_a_character_becomes_the_lessons_unit() -> None:
    """3.32 characters of the train split and 3.09 of the val split are a GPT-2 token; GPT-2 tokens stay what they are,
    and on a text whose GPT-2 tokens nobody counted there is no other unit."""
    runs = make_milestones(**CHARACTERS).runs
    assert find_unit(runs, "train").per_gpt2_token == pytest.approx(3.3244, abs=1e-4)
    assert find_unit(runs, "val").per_gpt2_token == pytest.approx(3.0933, abs=1e-4)
    assert find_unit(runs, "val").write_lesson_loss(2.0) == " (6.187 per GPT-2 token)"
    tokens = find_unit(make_milestones(tokenizer="gpt2").runs, "train")
    assert (tokens.nats, tokens.per_gpt2_token, tokens.write_lesson_loss(2.0)) == ("nats per token", None, "")
    other = find_unit(make_milestones(**{**CHARACTERS, "corpus_checksum": "c1"}).runs, "train")
    assert (other.nats, other.write_lesson_loss(2.0)) == ("nats per character", "")


def test_milestones_of_characters_have_both_units() -> None:
    """Axis, pins, boxes, sentence and table: a reader can't take a loss per character for one of the lesson's."""
    study = make_milestones(**CHARACTERS)
    drawing = pinned_samples(study)
    assert drawing is not None
    assert "loss 2.910 (9.674 per GPT-2 token)" in drawing.description
    for layout in (WIDE, NARROW):
        (axes,) = drawing.draw(layout).axes
        assert axes.get_ylabel() == "loss (nats per character)"
        assert [child.get_ylabel() for child in axes.child_axes] == ["nats per GPT-2 token"]
    grid = collect_samples(study)
    assert grid is not None
    assert [one.lesson_loss for one in grid.rows[0].samples] == ["", "9.674 per GPT-2 token", "7.014 per GPT-2 token"]
    assert grid.rows[0].samples[1].reason == "first under 3 per character"
    said = " ".join(finding.text for finding in state_findings(study))
    assert "train loss, in nats per character, first under 3 (9.973 per GPT-2 token) at step 60" in said
    table = results_table(study)
    assert table is not None
    place = [column.heading for column in table.columns].index("final val loss per GPT-2 token")
    assert table.rows[0][place].text == "6.187"


def test_of_gpt2_tokens_there_is_one_unit() -> None:
    """Nothing is said twice: the right axis has the perplexity, and the table no second loss."""
    study = make_milestones(tokenizer="gpt2")
    drawing = pinned_samples(study)
    assert drawing is not None
    axes = drawing.draw(WIDE).axes
    assert [one.get_ylabel() for one in axes] == ["loss (nats per token)", "perplexity"]
    table = results_table(study)
    assert table is not None
    assert "final val loss per GPT-2 token" not in [column.heading for column in table.columns]


def test_all_pins_hang_on_the_train_curve() -> None:
    """The untrained model's loss is the train loss of step 1, of the same weights, and not its val loss of 4.25."""
    drawing = pinned_samples(make_milestones(**CHARACTERS))
    assert drawing is not None
    assert drawing.data["loss"].tolist() == [4.1875, 2.91, 2.11]
    (axes,) = drawing.draw(WIDE).axes
    curve = max((line for line in axes.lines if line.get_linewidth() == 2.2), key=lambda line: len(line.get_xdata()))
    heights = {float(x): float(y) for x, y in curve.get_xydata()}
    pins = [line.get_xydata()[0] for line in axes.lines if line.get_markersize() == 16]
    assert [pin[0] for pin in pins] == [0.0, 60.0, 100.0]
    assert pins[1][1] == pytest.approx(heights[60.0], abs=0.02)
    assert pins[2][1] == pytest.approx(heights[100.0], abs=0.02)


@pytest.mark.real_text
@pytest.mark.skipif(REAL_TEXT is None, reason="no TinyShakespeare in GPTEXP_DATA_DIR or the cache")
def test_the_gpt2_tokens_of_tinyshakespeare_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored numbers are those of the tokenizer on both splits."""
    assert REAL_TEXT is not None
    monkeypatch.setenv("GPTEXP_DATA_DIR", str(REAL_TEXT.parent))
    tokens = load_tokens(load_corpus("tinyshakespeare"), "gpt2")
    assert {"train": len(tokens.train), "val": len(tokens.val)} == GPT2_TOKENS[TINYSHAKESPEARE_SHA256]
