"""Text that came from outside, made fit for files, pages and terminals."""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Iterable
from typing import Any

REPLACEMENT = "\ufffd"
"""What stands for a character that can't be kept: Unicode's replacement character."""
_NONCHARACTERS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_UNFIT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Unicode's categories of what has no picture of its own: controls, direction, surrogates, line separators."""


def clean_text(text: str) -> str:
    """`text` as UTF-8 and XML 1.0 can hold it.

    Control characters, halves of surrogate pairs (which is how Python spells bytes of a file name that are no UTF-8)
    and Unicode's noncharacters each become U+FFFD. Line feeds and tabs stay, and a carriage return before a line feed
    goes.

    Source: https://www.w3.org/TR/xml/#charsets
    """
    return text if text.isprintable() else _UNFIT.sub(REPLACEMENT, text.replace("\r\n", "\n"))


def clean_value(value: Any) -> Any:
    """Plain data with all its texts cleaned, keys too."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_value(key): clean_value(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [clean_value(content) for content in value]
    return value


def visible(text: str) -> str:
    """`text` with control, bidirectional and other invisible characters spelled out: it can't steer a terminal."""
    return "\n".join(line if line.isprintable() else "".join(map(_spell, line)) for line in text.split("\n"))


def _spell(char: str) -> str:
    return f"\\u{ord(char):04x}" if unicodedata.category(char) in _HIDDEN else char


def spell_name(name: str | os.PathLike[str]) -> str:
    """The name of a file as one line of text: bytes of it that are no UTF-8, and controls, are written `\\xe9`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return clean_text(re.sub("[\x00-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", text))


def quote_words(words: Iterable[str]) -> str:
    """A command line that a shell reads as these words; what can't be typed is written as bash's `$'caf\\xe9'`."""
    return " ".join(shlex.quote(word) if word.isprintable() else _quote_bytes(word) for word in words)


def _quote_bytes(word: str) -> str:
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t"}
    spelled = (
        escapes.get(char) or (char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in _encode(char)))
        for char in word
    )
    return f"$'{''.join(spelled)}'"


def _encode(char: str) -> bytes:
    try:
        return char.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return REPLACEMENT.encode()
