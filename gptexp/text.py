"""Makes text from outside safe for files, pages, spreadsheets and terminals, and removes paths from it."""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Iterable
from typing import Any

REPLACEMENT = "\ufffd"
"""Unicode's replacement character, written in place of a character that can't be kept."""
_NONCHARACTERS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_UNFIT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Unicode categories of invisible characters: control, format, surrogate, private use, line and paragraph separator."""


def clean_text(text: str) -> str:
    """`text` reduced to characters that UTF-8 and XML 1.0 allow.

    Control characters, lone surrogates (by which Python represents non-UTF-8 bytes of a file name) and Unicode's
    noncharacters each become U+FFFD. Line feeds and tabs stay; a carriage return before a line feed is removed.

    Source: https://www.w3.org/TR/xml/#charsets
    """
    return text if text.isprintable() else _UNFIT.sub(REPLACEMENT, text.replace("\r\n", "\n"))


def clean_value(value: Any) -> Any:
    """JSON-like data with `clean_text` applied to all texts, including keys."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        # Nearly all that is cleaned is numbers and short names, in objects: ten thousand runs have a million of them.
        return {
            clean_value(key): content if type(content) in _AS_THEY_ARE else clean_value(content)
            for key, content in value.items()
        }
    if isinstance(value, list | tuple):
        return [clean_value(content) for content in value]
    return value


def is_clean_json(text: bytes) -> bool:
    """Whether a glance at JSON text shows that `clean_value` would change nothing in what it holds."""
    return text.isascii() and not _ODD_IN_JSON.search(text)


_ODD_IN_JSON = re.compile(rb"\x7f|\\[urbf]")
"""Spellings of characters that `clean_text` may replace."""


_AS_THEY_ARE = frozenset((int, float, bool, type(None)))


def visible(text: str) -> str:
    """`text` with control, bidirectional and other invisible characters escaped, to protect a terminal."""
    return "\n".join(line if line.isprintable() else "".join(map(_spell, line)) for line in text.split("\n"))


def _spell(char: str) -> str:
    return f"\\u{ord(char):04x}" if unicodedata.category(char) in _HIDDEN else char


def spell_name(name: str | os.PathLike[str]) -> str:
    """A file name as one line of text: bytes that are not UTF-8 and control characters are escaped as `\\xe9`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return clean_text(re.sub("[\x00-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", text))


def quote_words(words: Iterable[str]) -> str:
    """A command line that a shell splits into these words. Unprintable bytes become bash's `$'caf\\xe9'`."""
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
"""Characters that change the direction of writing.

Source: https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
"""


def spell_bidi(text: str) -> str:
    """`text` with characters that change the writing direction spelled out as `[U+202E]`, so that it can't mislead."""
    return text if text.isascii() else BIDI.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def escape_bidi(encoded: str) -> str:
    """JSON text with those characters as JSON escapes: the values are unchanged, and the characters become visible."""
    return encoded if encoded.isascii() else BIDI.sub(lambda match: f"\\u{ord(match[0]):04x}", encoded)


FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
"""Characters that start a formula in a spreadsheet, including their full-width forms."""


def defuse_cell(text: str) -> str:
    """The text of a CSV cell, with an apostrophe before it if a spreadsheet would read it as a formula.

    Numbers stay unchanged, even with a sign.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    acts = text[:1] in ("\t", "\r") or _starts_formula(text)
    return f"'{text}" if acts and not _is_number(text) else text


def _starts_formula(text: str) -> bool:
    """Whether the first visible character of `text` starts a formula."""
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
"""A home folder of any user on any system."""
PATH = re.compile(
    r"(?<![\w.:/~\\-])(?:~[/\\]|[A-Za-z]:[/\\]|(?:\.\.?[/\\])+|[/\\][\w.+@%,-]+[/\\])(?:[\w.+@%,-]+[/\\])*([\w.+@%-]+)"
)
"""A path that starts at a root, a home folder, `.` or `..`; the group is its last part."""
QUOTED_PATH = re.compile(r"""(['"])((?:[^'"]*[=\s])?)(?:~|[A-Za-z]:)?[/\\](?:[^'"/\\]+[/\\])*([^'"/\\]+)\1""")
"""The same in quotes, as a shell needs them for a path with spaces, alone or after an option's name."""


def hide_paths(text: str) -> str:
    """`text` for publication: paths that start at a root, a home folder or `..` are reduced to their last part.

    A home folder itself becomes `~`. Web addresses stay whole.
    """
    if "/" not in text and "\\" not in text:
        return text
    for home in _own_homes():
        text = re.sub(rf"(?<![\w.]){re.escape(home)}(?![\w.-])", "~", text)
    user = _own_name()
    # Quoted paths first, because they may contain spaces.
    shorter = QUOTED_PATH.sub(r"\1\2\3\1", ANY_HOME.sub("~", text))
    return PATH.sub(lambda match: "~" if match[1] == user else match[1], shorter)


def hide_paths_in(value: Any) -> Any:
    """JSON-like data with `hide_paths` applied to every text; keys are unchanged."""
    if isinstance(value, str):
        return hide_paths(value)
    if isinstance(value, dict):
        return {key: hide_paths_in(item) for key, item in value.items()}
    return [hide_paths_in(item) for item in value] if isinstance(value, list) else value


def _own_homes() -> list[str]:
    """This user's home folder, as named and with links resolved; empty if it is the root or unknown."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises if there is none
    return [path for path in dict.fromkeys((home, os.path.realpath(home))) if len(path) > 1 and path != "~"]


def _own_name() -> str:
    """The last part of the home folder, usually the user's name."""
    return os.path.basename(os.path.expanduser("~").rstrip("/\\"))  # noqa: PTH111, PTH119


def tell_apart(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Distinct names for (checksum, name) pairs.

    Returns:
        Checksum -> name. Names that occur with several checksums get the checksum's first 8 digits appended.
    """
    pairs = sorted(set(named))
    names = [name for _, name in pairs]
    return {checksum: f"{name} ({checksum[:8]})" if names.count(name) > 1 else name for checksum, name in pairs}


def cut_text(text: str, most: int) -> str:
    """`text`, cut after `most` characters with a note of how many were left out."""
    return text if len(text) <= most else f"{text[:most]} … [{len(text) - most:,} more characters]"
