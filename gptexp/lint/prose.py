"""Finds the sentences of a text, and those that the author has bound to a claim.

Whatever is no prose (code, tags, addresses) is blanked in place, so that every sentence keeps its position in the file.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gptexp.claims.judge import VERDICTS
from gptexp.errors import GptexpError, shorten

MARKDOWN = (".md", ".mdx", ".markdown")
SUFFIXES = (*MARKDOWN, ".tsx", ".jsx", ".html", ".htm")

FRONT_MATTER = re.compile(r"\A\s?---[ \t]*\n.*?\n---[ \t]*(?:\n|\Z)", re.DOTALL)
FENCE = re.compile(r"^[ \t]*(?P<fence>```+|~~~+).*?(?:^[ \t]*(?P=fence)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
CODE_SPAN = re.compile(r"`[^`\n]+`")
MODULE_LINE = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)
COMMENTS = (("<!--", "-->"), (r"\{/\*", r"\*/\}"))
CODE_ELEMENTS = tuple((rf"<{name}\b", rf"</{name}\s*>") for name in ("script", "style", "pre", "svg"))
TAG = re.compile(r"</?[A-Za-z][^<>]*>|</?>", re.DOTALL)
EXPRESSION = re.compile(r"\{[^{}]*\}")
ADDRESS = re.compile(
    r"\]\([^)\[\]\s]*(?:[ \t]{1,9}[\"'(][^)\[\n]*)?\)|https?://\S+|^ {0,3}\[[^\[\]\n]+\]:[ \t]*\S+", re.MULTILINE
)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,31});")
JSX_TEXT = re.compile(r"(?<=>)[^<>{}]+(?=[<{])|(?<=\})[^<>{};=]+(?=</|<[A-Za-z]|\{)")
JSX_STRING = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'|`([^`]*)`")
WORDS_OF_PROSE = 4
"""A string of program text with so many words is taken for a sentence."""

MARK = re.compile(
    r"(?P<tag><Claim\b[^<>]*(?<!/)>)|(?P<tag_end></Claim\s*>)"
    r"|(?P<html><!--\s*claim:[^<>]*?-->)|(?P<html_end><!--\s*/claim\s*-->)"
    r"|(?P<jsx>\{/\*\s*claim:[^{}]*?\*/\})|(?P<jsx_end>\{/\*\s*/claim\s*\*/\})"
)
"""What begins or ends a passage that is bound to a claim."""
COMMENT_WORDS = re.compile(r"claim:(.*?)(?:--|\*/)", re.DOTALL)
ATTRIBUTE = re.compile(r"\b(id|verdict)\s*=\s*\{?[\"']([^\"']*)[\"']\}?")

BLOCK_END = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*+>|]|#{1,6} |\d+[.)] ))|(?<=\|)\n")
BREAK = "\0"
"""Stands for what ends a sentence: a tag like <p>, and program text."""
SENTENCE_END = re.compile(
    rf"(?<=[.!?:])[\"”')*_]*\s+(?=[\"“'(*_`]*[A-Z0-9`])|(?<!\s)\s*\|\s*|(?<!\s)\s*{BREAK}[{BREAK}\s]*"
)
INLINE = re.compile(r"</?(?:a|abbr|b|code|em|i|kbd|mark|small|span|strong|sub|sup|u|var|Claim|Link)\b")


@dataclass(frozen=True)
class Sentence:
    """A sentence and its place in the file."""

    text: str
    """In one line, without markup."""
    start: int
    """Position of its first character in the file."""
    end: int
    line: int
    """From 1."""
    claim: str | None = None
    """The claim that its author has bound it to."""
    expects: str | None = None
    """The verdict for which it is true, where its author says so: a sentence that denies a claim expects `refuted`."""


def read_sentences(text: str, suffix: str) -> list[Sentence]:
    """All sentences in their order; a bound passage is one sentence.

    Args:
        suffix: of the file, which says what is prose in it.

    Raises:
        GptexpError: another kind of file, or a passage that is bound and has no end.
    """
    if suffix.lower() not in SUFFIXES:
        raise GptexpError(f"a file {suffix or 'without a suffix'} can't be read; expected one of {', '.join(SUFFIXES)}")
    text = _mend_line_breaks(text)
    prose = blank_code(text, suffix.lower())
    bound = list(find_bound(_blank_examples(text, suffix.lower())))
    rest = prose
    for _, _, start, end in bound:
        rest = f"{rest[:start]}{_blank(rest[start:end])}{rest[end:]}"
    breaks = [found.start() for found in re.finditer("\n", text)]
    sentences = [_make(prose, start, end, breaks, name, expects) for name, expects, start, end in bound]
    sentences += [_make(rest, start, end, breaks) for start, end in _split(rest)]
    return sorted((sentence for sentence in sentences if sentence.text), key=lambda sentence: sentence.start)


def find_bound(text: str) -> Iterator[tuple[str, str | None, int, int]]:
    """The claim, the verdict that is expected, start and end of every passage that is bound to a claim.

    Raises:
        GptexpError: one is opened and not closed, stands inside another, or names no claim.
    """
    opening: re.Match[str] | None = None
    for found in MARK.finditer(text):
        kind = str(found.lastgroup)
        if opening is not None and kind == f"{opening.lastgroup}_end":
            yield *_read_opening(opening, _line(text, opening.start())), opening.end(), found.start()
            opening = None
        elif not kind.endswith("_end"):
            if opening is not None:
                inner, outer = _line(text, found.start()), _line(text, opening.start())
                raise GptexpError(
                    f"line {inner} binds a passage inside the one that line {outer} binds; end that first, with "
                    f"</Claim> or /claim"
                )
            opening = found
    if opening is not None:
        line = _line(text, opening.start())
        raise GptexpError(f"line {line} binds a passage to a claim and never ends it; close it with </Claim> or /claim")


def _read_opening(opening: re.Match[str], line: int) -> tuple[str, str | None]:
    """The claim and the verdict that is expected."""
    attributes = dict(ATTRIBUTE.findall(opening[0]))
    comment = None if opening.lastgroup == "tag" else COMMENT_WORDS.search(opening[0])
    words = comment[1].split() if comment else []
    name = attributes.get("id") or (words[0] if words else "")
    expects = attributes.get("verdict") or (words[1] if len(words) > 1 else None)
    if not name:
        raise GptexpError(f'line {line} binds a passage and names no claim; give it id="NAME"')
    if expects not in (None, *VERDICTS):
        raise GptexpError(f"line {line} expects the verdict {shorten(expects)}; there are: {', '.join(VERDICTS)}")
    return name, expects


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _mend_line_breaks(text: str) -> str:
    """The text with line feeds alone, and without a byte order mark; every character keeps its position."""
    return text.replace("\r\n", " \n").replace("\r", "\n").replace("\ufeff", " ")


def _blank_examples(text: str, suffix: str) -> str:
    """The text without what only shows how a passage is bound: code blocks, and the brackets of code in a line."""
    if suffix in MARKDOWN:
        text = FENCE.sub(lambda found: _blank(found[0], BREAK), text)
        text = CODE_SPAN.sub(lambda found: re.sub(r"[<>{}]", " ", found[0]), text)
    return text


def blank_code(text: str, suffix: str) -> str:
    """The text with everything but its prose replaced by spaces; line breaks stay."""
    if suffix in (".tsx", ".jsx"):
        return ENTITY.sub(_read_entity, _keep_prose_of_code(text))
    if suffix in MARKDOWN:
        text = _blank_examples(FRONT_MATTER.sub(lambda found: _blank(found[0], BREAK), text), suffix)
    text = _blank_between(text, (*COMMENTS, *CODE_ELEMENTS), BREAK)
    if suffix == ".mdx":
        text = MODULE_LINE.sub(lambda found: _blank(found[0], BREAK), text)
    text = TAG.sub(lambda found: _blank_tag(found[0]), text)
    for pattern in (ADDRESS, *([EXPRESSION] if suffix == ".mdx" else [])):
        text = pattern.sub(lambda found: _blank(found[0]), text)
    return ENTITY.sub(_read_entity, text)


def _blank_between(text: str, pairs: Iterable[tuple[str, str]], filling: str = " ") -> str:
    """The text without what stands between each beginning and its end; a beginning without an end is text."""
    for beginning, end in ((re.compile(pattern, re.IGNORECASE) for pattern in pair) for pair in pairs):
        pieces, position = [], 0
        while (first := beginning.search(text, position)) and (last := end.search(text, first.end())):
            pieces += [text[position : first.start()], _blank(text[first.start() : last.end()], filling)]
            position = last.end()
        text = "".join((*pieces, text[position:]))
    return text


def _read_entity(found: re.Match[str]) -> str:
    """The character that an HTML entity stands for, after spaces that keep the length; `&nbsp;` is spaces."""
    character = html.unescape(found[0])
    if len(character) != 1 or not character.isprintable():
        return _blank(found[0])
    return character.rjust(len(found[0]))


def _blank_tag(tag: str) -> str:
    return _blank(tag, " " if INLINE.match(tag) else BREAK)


def _keep_prose_of_code(text: str) -> str:
    """Text between tags, and strings of several words."""
    code = _blank_between(text, COMMENTS)
    spans = [found.span() for found in JSX_TEXT.finditer(code) if re.search(r"\w\w", found[0])]
    for found in JSX_STRING.finditer(code):
        content = next(group for group in range(1, 4) if found[group] is not None)
        if len(found[content].split()) >= WORDS_OF_PROSE:
            spans.append(found.span(content))
    kept = list(_blank(text, BREAK))
    # An expression or an inline tag between two pieces of text belongs to their sentence.
    for pattern in (TAG, EXPRESSION):
        for found in pattern.finditer(code):
            if pattern is EXPRESSION or INLINE.match(found[0]):
                kept[found.start() : found.end()] = _blank(found[0])
    for start, end in spans:
        kept[start:end] = code[start:end]
    return "".join(kept)


def _blank(text: str, filling: str = " ") -> str:
    return re.sub(r"[^\n]", filling, text)


def _split(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of every sentence."""
    for start, end in _pieces(text, BLOCK_END, 0, len(text)):
        yield from _pieces(text, SENTENCE_END, start, end)


def _pieces(text: str, separator: re.Pattern[str], start: int, end: int) -> Iterator[tuple[int, int]]:
    for found in separator.finditer(text, start, end):
        yield start, found.start()
        start = found.end()
    yield start, end


def _make(
    prose: str, start: int, end: int, breaks: Sequence[int], claim: str | None = None, expects: str | None = None
) -> Sentence:
    piece = prose[start:end]
    start += len(piece) - len(piece.lstrip(f"{BREAK} \t\n"))
    words = " ".join(re.sub(rf"[*_`#|{BREAK}]+", " ", piece).split()).strip("-+>• ")
    return Sentence(words, start, end, bisect_left(breaks, start) + 1, claim, expects)
