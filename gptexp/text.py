"""Text that came from outside, made fit for files, pages and terminals."""

from __future__ import annotations

import unicodedata

REPLACEMENT = "\ufffd"
"""What stands for a character that can't be kept: Unicode's replacement character."""


def clean_text(text: str) -> str:
    """`text` as UTF-8 and XML 1.0 can hold it.

    Control characters, halves of surrogate pairs (which is how Python spells bytes of a file name that are no UTF-8)
    and Unicode's noncharacters each become U+FFFD. Line feeds and tabs stay.

    Source: https://www.w3.org/TR/xml/#charsets
    """
    return text if text.isprintable() else "".join(map(_clean_character, text))


def _clean_character(character: str) -> str:
    if character in "\n\t":
        return character
    is_noncharacter = ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF
    return REPLACEMENT if is_noncharacter or unicodedata.category(character) in ("Cc", "Cs") else character


def visible(text: str) -> str:
    """`text` with control, bidirectional and other invisible characters spelled out: it can't steer a terminal."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return "".join(
        f"\\u{ord(char):04x}" if unicodedata.category(char) in hidden and char != "\n" else char for char in text
    )
