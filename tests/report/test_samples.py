"""Characters that would hide or steer are spelled out."""

from __future__ import annotations

import pytest

from gptexp.report.samples import make_visible


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
