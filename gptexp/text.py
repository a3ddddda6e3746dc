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


BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that turn the direction of writing.

Source: https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
"""


def spell_bidi(text: str) -> str:
    """`text` with characters that turn the direction of writing spelled out, `[U+202E]`: nothing reads as another."""
    return text if text.isascii() else BIDI.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def escape_bidi(encoded: str) -> str:
    """JSON text with such characters as escapes: the values are the same, and whoever opens the file sees them."""
    return encoded if encoded.isascii() else BIDI.sub(lambda match: f"\\u{ord(match[0]):04x}", encoded)


FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
"""What starts a formula in a spreadsheet, the full-width forms too."""


def defuse_cell(text: str) -> str:
    """A text of a CSV cell as no spreadsheet reads it as a formula: with an apostrophe before it where it would.

    A number stays a number, its sign included.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    acts = text[:1] in ("\t", "\r") or _starts_formula(text)
    return f"'{text}" if acts and not _is_number(text) else text


def _starts_formula(text: str) -> bool:
    """Whether the first character of `text` that is seen starts a formula."""
    for character in text:
        if character in FORMULA_STARTS:
            return True
        if not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf"):
            return False
    return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and text == text.strip()


ANY_HOME = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[/\\](?:home|Users)[/\\][^/\\\s'\",;:]+|(?<![\w.~])/root(?![\w.-])")
"""Somebody's home folder, on whatever machine."""
PATH = re.compile(
    r"(?<![\w.:/~\\-])(?:~[/\\]|[A-Za-z]:[/\\]|(?:\.\.?[/\\])+|[/\\][\w.+@%,-]+[/\\])(?:[\w.+@%,-]+[/\\])*([\w.+@%-]+)"
)
"""A path from a root, a home or the current folder on; its last part is the group."""
QUOTED_PATH = re.compile(r"""(['"])((?:[^'"]*[=\s])?)(?:~|[A-Za-z]:)?[/\\](?:[^'"/\\]+[/\\])*([^'"/\\]+)\1""")
"""The same in quotes, as a shell needs them around a path with spaces, alone or behind an option's name."""


def hide_paths(text: str) -> str:
    """`text` with only the last part of every path that starts at a root, a home or `..`, and `~` for a home itself.

    What is published says what was done, not where on somebody's disk. Web addresses stay whole.
    """
    if "/" not in text and "\\" not in text:
        return text
    for home in _own_homes():
        text = re.sub(rf"(?<![\w.]){re.escape(home)}(?![\w.-])", "~", text)
    user = _own_name()
    # Quoted ones first: in them a space ends no path.
    shorter = QUOTED_PATH.sub(r"\1\2\3\1", ANY_HOME.sub("~", text))
    return PATH.sub(lambda match: "~" if match[1] == user else match[1], shorter)


def hide_paths_in(value: Any) -> Any:
    """JSON-like data with `hide_paths` of every text in it; the names of fields stay."""
    if isinstance(value, str):
        return hide_paths(value)
    if isinstance(value, dict):
        return {key: hide_paths_in(item) for key, item in value.items()}
    return [hide_paths_in(item) for item in value] if isinstance(value, list) else value


def _own_homes() -> list[str]:
    """The home folder of whoever runs this, as it is named and as it is; none where it is a root or unknown."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    return [path for path in dict.fromkeys((home, os.path.realpath(home))) if len(path) > 1 and path != "~"]


def _own_name() -> str:
    """The last part of the home folder: what people are called on a machine."""
    return os.path.basename(os.path.expanduser("~").rstrip("/\\"))  # noqa: PTH111, PTH119


def tell_apart(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Checksum -> name, from pairs of both; where two have one name, with the checksum's first digits behind it."""
    pairs = sorted(set(named))
    names = [name for _, name in pairs]
    return {checksum: f"{name} ({checksum[:8]})" if names.count(name) > 1 else name for checksum, name in pairs}


def cut_text(text: str, most: int) -> str:
    """`text`, of a longer one the first `most` characters and how many more there are."""
    return text if len(text) <= most else f"{text[:most]} … [{len(text) - most:,} more characters]"
