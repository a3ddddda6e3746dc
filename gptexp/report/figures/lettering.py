"""Measures labels and makes them fit, whatever letters they have and however long they are."""

from __future__ import annotations

import functools
import textwrap
import unicodedata
from collections.abc import Iterable

from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

from gptexp.text import clean_text, spell_bidi

CHARACTER = 6.6
"""Mean width of a character at 12 px, on the wide side."""
SLACK = 1.12
"""An ordinary line may be that much wider than the mean says: the reader's fonts are narrower than ours."""
WIDE_LETTER = 12.6
"""Width of a letter of Chinese, Japanese or Korean, or of an emoji, at 12 px."""
GAP = " … "
LONGEST = 600
"""Characters of a label beyond which it is cut before anything is measured: no figure shows that many."""


def flatten(text: str) -> str:
    """`text` on one line, without characters that no picture can hold or that turn the direction of writing."""
    flat = " ".join(spell_bidi(clean_text(text)).split())
    return _cut_middle(flat, LONGEST) if len(flat) > LONGEST else flat


def measure(text: str) -> float:
    """Pixels that a line takes at 12 px."""
    ordinary, exact = len(text) * CHARACTER, sum(map(_measure_letter, text))
    return exact if exact > SLACK * ordinary else ordinary


def measure_safely(text: str) -> float:
    """The most pixels that a line takes, in our font or the reader's."""
    return max(len(text) * CHARACTER, sum(map(_measure_letter, text)))


def measure_room(lines: Iterable[str], beside: float, least: float) -> float:
    """Pixels for a column of these lines: `beside` more than they usually need, `least` more than they ever need."""
    return max((max(measure(line) + beside, measure_safely(line) + least) for line in lines), default=beside)


def fit_label(text: str, width: float) -> str:
    """`text` on one line of at most `width` pixels; an ellipsis replaces the middle of a longer one.

    Labels of a study often start alike and differ at their ends, so that both are kept.
    """
    flat = flatten(text)
    if measure_safely(flat) <= width:
        return flat
    low, high = 0, len(flat)
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if measure_safely(_cut_middle(flat, kept)) <= width else (low, kept - 1)
    return _cut_middle(flat, low)


def wrap_label(text: str, width: int, lines: int = 3) -> list[str]:
    """`text` in at most so many lines of about `width` ordinary characters; of a longer one the middle is left out."""
    flat = flatten(text)
    wrapped = textwrap.wrap(flat, width, break_long_words=True) or [""]
    if len(wrapped) <= lines and all(measure(line) <= width * CHARACTER * SLACK for line in wrapped):
        return wrapped
    pixels = width * CHARACTER
    kept = len(flat)
    while True:
        wrapped = _wrap_wide(_cut_middle(flat, kept) if kept < len(flat) else flat, pixels)
        if len(wrapped) <= lines or kept <= lines:
            return wrapped[:lines]
        kept = min(kept - 1, kept * lines // len(wrapped) + 4)


def fit_lines(text: str, width: int, lines: int) -> list[str]:
    """The start of `text` in at most so many lines of about `width` characters; an ellipsis says that there is more."""
    wrapped = textwrap.wrap(text, width, max_lines=lines, placeholder=" …", break_long_words=True)
    if all(measure(line) <= width * CHARACTER * SLACK for line in wrapped):
        return wrapped
    wrapped = _wrap_wide(flatten(text), width * CHARACTER)
    if len(wrapped) <= lines:
        return wrapped
    last = wrapped[lines - 1]
    while last and measure(f"{last} …") > width * CHARACTER:
        last = last[:-1]
    return [*wrapped[: lines - 1], f"{last.rstrip()} …"]


def _cut_middle(text: str, kept: int) -> str:
    """`text` with `kept` of its characters: two thirds from its start, the others from its end."""
    head = (2 * kept + 2) // 3
    tail = kept - head
    # An accent belongs to the letter before it, and what a joiner joins stays together.
    while 0 < head < len(text) and _clings(text, head):
        head -= 1
    start = len(text) - tail
    while tail > 0 and start < len(text) and _clings(text, start):
        start += 1
        tail -= 1
    return f"{text[:head].rstrip()}{GAP}{text[start:].lstrip() if tail else ''}".rstrip()


def _clings(text: str, place: int) -> bool:
    """Whether the character at `place` belongs to the one before it."""
    return unicodedata.category(text[place]) in ("Mn", "Me", "Mc", "Cf") or text[place - 1] == "\u200d"


def _wrap_wide(text: str, pixels: float) -> list[str]:
    """Lines of at most `pixels`, broken between words, and inside a word only where it is too long."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if measure(longer) <= pixels:
            line = longer
            continue
        if line:
            lines.append(line)
        line = ""
        for place, letter in enumerate(word):
            if line and measure(line + letter) > pixels and not _clings(word, place):
                lines.append(line)
                line = ""
            line += letter
    return [*lines, line] if line or not lines else lines


@functools.lru_cache(maxsize=4096)
def _measure_letter(letter: str) -> float:
    """The width of one letter in our own font; a typical width where the font lacks it."""
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0.0
    font = _open_own_font()
    if not font.get_char_index(ord(letter)):
        return WIDE_LETTER if unicodedata.east_asian_width(letter) in ("W", "F") else 1.3 * CHARACTER
    return float(font.load_char(ord(letter)).linearHoriAdvance) / 65536


@functools.cache
def _open_own_font() -> FT2Font:
    """DejaVu Sans, which comes with matplotlib, at 12 px."""
    font = FT2Font(findfont("DejaVu Sans"))
    font.set_size(12, 72)
    return font
