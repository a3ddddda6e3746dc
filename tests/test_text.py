"""Text from outside."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from gptexp.text import clean_text, clean_value, is_clean_json


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


@pytest.mark.parametrize("odd", ["\x07", "\x7f", "\r\n", "\x85", "\ud800", "\ufffe", "\f"])
def test_a_glance_misses_nothing_that_is_cleaned(odd: str) -> None:
    """JSON text that counts as clean at a glance holds no character that cleaning would replace, however spelled."""
    for text in (json.dumps({odd: "a"}), json.dumps(["a", odd]), json.dumps(odd, ensure_ascii=False)):
        assert clean_value(json.loads(text)) != json.loads(text)
        assert not is_clean_json(text.encode(errors="surrogatepass"))
    assert is_clean_json(json.dumps({"a\n\t": ['"\\ b', 1, None]}).encode())
