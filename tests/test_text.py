"""Text from outside."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from gptexp.text import clean_text


@pytest.mark.parametrize(
    "bad", ["\x00", "\x0c", "\x1b", "\x7f", "\x85", "\ud800", chr(0xDCFF), "\ufffe", "\uffff", "\ufdd0"]
)
def test_cleaned_text_fits_utf8_and_xml(bad: str) -> None:
    """What a file or an SVG can't hold is replaced; the rest of the text is as it was."""
    cleaned = clean_text(f"a{bad}ä\n\tb")
    assert cleaned == "a\ufffdä\n\tb"
    ElementTree.fromstring(f"<t>{cleaned}</t>".encode())


@pytest.mark.parametrize("text", ["", "plain", "日本語", "😀 e\u0301", "a\nb\tc", "\u202eright to left"])
def test_sound_text_is_left_alone(text: str) -> None:
    """Scripts, emoji, marks and direction are no damage."""
    assert clean_text(text) == text
