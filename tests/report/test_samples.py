"""Characters that would hide or steer are spelled out."""

from __future__ import annotations

import math

import pytest

from gptexp.report.samples import make_visible, measure_gauge


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("To be,\nor not", "To be,\nor not"),
        ("a\tb\r\n", "a␉\tb␍\n"),
        ("\x1b[2J", "␛[2J"),
        ("\x7f\x9b", "␡[U+009B]"),
        ("\u202eabc\u2066\u200f", "[U+202E]abc[U+2066][U+200F]"),
        ("\u200b\ufeff\u2028", "[U+200B][U+FEFF][U+2028]"),
        ("\ud83d", "[U+D83D]"),
        ("naïve שלום 你好 🙂 \ufffd", "naïve שלום 你好 🙂 \ufffd"),
    ],
)
def test_invisible_characters_become_visible(raw: str, shown: str) -> None:
    """Letters of every script stay as they are; controls, formats and surrogates don't."""
    assert make_visible(raw) == shown


@pytest.mark.parametrize(
    ("loss", "highest", "gauge"),
    [
        (1.0, 4.0, 25),
        (4.0, 4.0, 100),
        (0.0, 4.0, 0),
        # A text of one letter is predicted with certainty.
        (0.0, 0.0, None),
        (math.nan, 4.0, None),
        (math.inf, 4.0, None),
        (math.nan, math.nan, None),
    ],
)
def test_a_gauge_is_a_share_of_the_highest_loss(loss: float, highest: float, gauge: int | None) -> None:
    """In percent, and none where there is nothing to measure by: one run without a loss takes no page with it."""
    assert measure_gauge(loss, highest) == gauge
