"""Draws letters that our font lacks in other fonts of the machine; where none has them, numbers stand for them.

An SVG holds text, which the reader's own fonts show; a PNG holds pixels, drawn with the fonts of this machine.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from gptexp.report.figures.lettering import fit_lines, measure

NOTE = "Numbered are letters that no font here can draw; the SVG and the page have them."
MOST_SPELLED = 40
"""Letters of one run that are spelled out."""
UNSEEN = re.compile("[\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]")
"""Invisible joiners and selectors, which would be drawn as boxes without the letters that they act on."""


def draw_all_letters(figure: Figure) -> list[str]:
    """Give each text of the figure fonts that have its letters; those that none has become `#1`, `#2`.

    Returns:
        What the numbers stand for, a sentence for each, and why; empty where every letter is drawn.
    """
    numbers: dict[str, int] = {}
    for text in figure.findobj(match=Text):
        if isinstance(text, Text) and not text.get_text().isascii():
            _draw_letters(text, numbers)
    return [*(f"#{number}: {_spell(run)}" for run, number in numbers.items()), NOTE] if numbers else []


def _draw_letters(text: Text, numbers: dict[str, int]) -> None:
    own = findfont(text.get_fontproperties())
    lacking = {letter for letter in text.get_text() if not letter.isspace() and not _has(own, letter)}
    if not lacking:
        return
    others = {letter: find_font(letter) for letter in sorted(lacking) if not UNSEEN.match(letter)}
    families = [name for name in dict.fromkeys(others.values()) if name]
    if families:
        text.set_fontfamily([*text.get_fontfamily(), *families])
    lost = "".join(letter for letter, family in others.items() if family is None)
    shown = text.get_text()
    if lost:
        runs = re.compile(rf"[{re.escape(lost)}](?:[\s{re.escape(lost)}]|{UNSEEN.pattern})*(?<!\s)")
        shown = runs.sub(lambda match: _number(match[0], numbers), shown)
    if lost or not families:
        shown = UNSEEN.sub("", shown)
    text.set_text(shown)


def _number(run: str, numbers: dict[str, int]) -> str:
    """The number that stands for a run of letters; line breaks inside the run don't count."""
    letters = UNSEEN.sub("", "".join(run.split()))
    return f"#{numbers.setdefault(letters, len(numbers) + 1)}"


def _spell(run: str) -> str:
    """`U+1F680 rocket`; the codes alone for many letters, and for letters whose names only repeat the code."""
    codes = [f"U+{ord(letter):04X}" for letter in run]
    names = [unicodedata.name(letter, "").lower() for letter in run]
    if len(run) <= 3:
        codes = [
            code if not name or name.endswith(code[2:].lower()) else f"{code} {name}"
            for code, name in zip(codes, names, strict=True)
        ]
    more = f" and {len(run) - MOST_SPELLED} more" if len(run) > MOST_SPELLED else ""
    return f"{', '.join(codes[:MOST_SPELLED])}{more}"


@functools.lru_cache(maxsize=4096)
def find_font(letter: str) -> str | None:
    """The name of an installed font that can draw `letter`; None where there is none."""
    return next((entry.name for entry in _list_fonts() if _has(entry.fname, letter, drawn=True)), None)


def _list_fonts() -> Iterator[FontEntry]:
    """The installed fonts, upright sans-serif ones of normal weight first.

    Without the last-resort font, which draws every letter as a box.
    """
    upright = [font for font in fontManager.ttflist if not font.name.startswith("Last Resort")]
    yield from sorted(
        upright,
        key=lambda font: (
            font.style != "normal",
            "Sans" not in font.name,
            str(font.weight) not in ("400", "normal"),
            font.name,
        ),
    )


@functools.lru_cache(maxsize=65536)
def _has(path: str, letter: str, *, drawn: bool = False) -> bool:
    """Whether the font in a file has `letter`, and, where asked, whether it can be drawn: emoji in colour can't."""
    font = _open(path)
    if font is None or not font.get_char_index(ord(letter)):
        return False
    if drawn:
        try:
            font.set_size(12, 72)
            font.load_char(ord(letter))
        except RuntimeError:
            return False
    return True


@functools.lru_cache(maxsize=256)
def _open(path: str) -> FT2Font | None:
    try:
        return FT2Font(path)
    except (OSError, RuntimeError):
        return None


def wrap_notes(notes: list[str], width: float) -> list[str]:
    """The notes in lines of at most `width` pixels."""
    longest = int(width / max(measure("n"), 1))
    return [line for note in notes for line in fit_lines(note, longest, 6)]
