"""What cells show: guesses beside outcomes, pictures, samples, progress and what the lesson says."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gptexp.data.tokenizer import load_gpt2_tokenizer
from gptexp.errors import GptexpError
from gptexp.notebook import (
    GuessTable,
    Samples,
    compare,
    plot_losses,
    plot_norms,
    plot_rates,
    quote_lesson,
    show_predictions,
    track,
)
from gptexp.notebook.pictures import Picture

HISTORY = {
    "step": list(range(1, 41)),
    "train_loss": [4.0 / math.sqrt(step) + 0.1 * (step % 3) for step in range(1, 41)],
    "grad_norm": [5.0 / step for step in range(1, 41)],
}
PNG = b"\x89PNG"


@pytest.mark.parametrize(
    ("guess", "outcome", "within", "verdict"),
    [
        (None, 3.0, 0.1, "–"),
        (5, 5, 0, "right"),
        (2.05, 2.0, 0.1, "close"),
        (3.0, 2.0, 0.1, "1.00 too high"),
        (1.5, 2.0, 0.1, "0.500 too low"),
        (True, True, 0, "right"),
        (True, False, 0, "it came otherwise"),
        (1, True, 0, "it came otherwise"),
        ("jagged", "jagged", 0, "right"),
        ("about four", 4.1, 0.2, "it came otherwise"),
        (2.0, math.nan, 0.1, "there is no number to compare with"),
    ],
)
def test_a_guess_is_compared(
    guess: Any, outcome: Any, within: float, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers by their distance, all else by being the same; no guess is no mistake."""
    found = compare(guess, outcome, within=within)
    assert (found.guess, found.verdict) == (guess, verdict)
    assert verdict in capsys.readouterr().out


def test_guesses_stand_beside_outcomes() -> None:
    """The table has a row for each question, as text and as HTML, and a question can't act in it."""
    table = GuessTable({"first <b>loss</b>": compare(None, 10.8248), "explodes": compare(True, False)})
    assert "first <b>loss</b> | – | 10.82 | –" in repr(table)
    assert "explodes | yes | no | it came otherwise" in repr(table)
    assert table._repr_html_().count("<tr>") == 3
    assert "<b>" not in table._repr_html_()


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (plot_rates([0.1, 0.2, 0.1]), "highest at step 2"),
        (plot_losses(HISTORY, {0: 4.2, 40: 1.1}, {"counting pairs": 2.5}), "Val loss 1.100 at step 40."),
        (plot_norms(HISTORY, 1.0), "above 1 in 4 of 40 steps."),
    ],
    ids=["rates", "losses", "norms"],
)
def test_a_picture_is_shown_and_told(picture: Picture, words: str) -> None:
    """A notebook gets a PNG at the width of the page, and its numbers as text."""
    content, about = picture._repr_mimebundle_()
    assert content["image/png"].startswith(PNG)
    assert about == {"image/png": {"width": 860}}
    assert words in content["text/plain"]


def test_samples_are_text() -> None:
    """What a model wrote is shown beside its loss; markup in it is text, and no character steers."""
    shown = Samples([(0, 4.174, "<script>x\x1b[2J"), (1000, 2.0, "ROMEO:\nAy")])
    assert "step 1,000" in shown._repr_html_()
    assert "val loss 4.17" in repr(shown)
    assert "<script>" not in shown._repr_html_()
    assert "\x1b" not in repr(shown)


def test_the_lesson_is_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    """Word for word, and marked as what the lesson says; an unknown claim is an error that names near ones."""
    quote_lesson("constant-6e-4-explodes")
    assert capsys.readouterr().out.startswith("The lesson says: “6e-4 explodes at step 300”")
    with pytest.raises(GptexpError, match="no claim 'initial-los'; did you mean initial-loss"):
        quote_lesson("initial-los")


def test_a_sentence_is_traced(capsys: pytest.CaptureFixture[str]) -> None:
    """Six tokens give five predictions, each on a line."""
    assert show_predictions("The cat sat on the mat", load_gpt2_tokenizer()) == 5
    out = capsys.readouterr().out
    assert "'The cat' -> ' sat'" in out
    assert out.count("->") == 5


def test_progress_passes_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    """All steps come through in order, and the bar ends full."""
    assert list(track(range(1, 8))) == [1, 2, 3, 4, 5, 6, 7]
    assert "step 7 of 7" in capsys.readouterr().out
    assert list(track([])) == []
