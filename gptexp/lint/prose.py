"""Finds the sentences of a text, and those that the author has bound to a claim.

Whatever is no prose (code, tags, addresses) is blanked in place, so that every sentence keeps its position in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gptexp.claims.judge import VERDICTS
from gptexp.errors import GptexpError, shorten

MARKDOWN = (".md", ".mdx", ".markdown")
SUFFIXES = (*MARKDOWN, ".tsx", ".jsx", ".html", ".htm")

FRONT_MATTER = re.compile(r"\A---\n.*?\n---(?:\n|\Z)", re.DOTALL)
FENCE = re.compile(r"^[ \t]*(?P<fence>```+|~~~+).*?(?:^[ \t]*(?P=fence)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
MODULE_LINE = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)
CODE_ELEMENT = re.compile(r"<(script|style|pre|svg)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
COMMENT = re.compile(r"<!--.*?-->|\{/\*.*?\*/\}", re.DOTALL)
TAG = re.compile(r"</?[A-Za-z][^<>]*>|</?>", re.DOTALL)
EXPRESSION = re.compile(r"\{[^{}]*\}")
ADDRESS = re.compile(r"\]\([^)\s]*\)|https?://\S+")
JSX_TEXT = re.compile(r"(?<=>)[^<>{}]+(?=[<{])|(?<=\})[^<>{};=]+(?=</|<[A-Za-z]|\{)")
JSX_STRING = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'|`([^`]*)`")
WORDS_OF_PROSE = 4
"""A string of program text with so many words is taken for a sentence."""

BOUND = re.compile(
    r"<Claim\b(?P<tag>[^>]*)>(?P<in_tag>.*?)</Claim\s*>"
    r"|<!--\s*claim:(?P<html>[^>]*?)-->(?P<in_html>.*?)<!--\s*/claim\s*-->"
    r"|\{/\*\s*claim:(?P<jsx>.*?)\*/\}(?P<in_jsx>.*?)\{/\*\s*/claim\s*\*/\}",
    re.DOTALL,
)
ATTRIBUTE = re.compile(r"\b(id|verdict)\s*=\s*\{?[\"']([^\"']*)[\"']\}?")
OPENING = re.compile(r"<Claim\b[^>]*(?<!/)>|<!--\s*claim:[^>]*-->|\{/\*\s*claim:.*?\*/\}", re.DOTALL)

BLOCK_END = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*+>|]|#{1,6} |\d+[.)] ))|(?<=\|)\n")
BREAK = "\0"
"""Stands for what ends a sentence: a tag like <p>, and program text."""
SENTENCE_END = re.compile(rf"(?<=[.!?:])[\"”')*_]*\s+(?=[\"“'(*_`]*[A-Z0-9`])|\s*\|\s*|\s*{BREAK}[{BREAK}\s]*")
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
    prose = blank_code(text, suffix.lower())
    bound = list(find_bound(text))
    rest = prose
    for _, _, start, end in bound:
        rest = f"{rest[:start]}{_blank(rest[start:end])}{rest[end:]}"
    sentences = [_make(prose, start, end, text, name, expects) for name, expects, start, end in bound]
    sentences += [_make(rest, start, end, text) for start, end in _split(rest)]
    return sorted((sentence for sentence in sentences if sentence.text), key=lambda sentence: sentence.start)


def find_bound(text: str) -> Iterator[tuple[str, str | None, int, int]]:
    """The claim, the verdict that is expected, start and end of every passage that is bound to a claim.

    Raises:
        GptexpError: one is opened and not closed, or names no claim.
    """
    openings = {found.start() for found in OPENING.finditer(text)}
    for found in BOUND.finditer(text):
        openings.discard(found.start())
        group = next(name for name in ("tag", "html", "jsx") if found[name] is not None)
        attributes = dict(ATTRIBUTE.findall(found[group]))
        words = [] if group == "tag" else found[group].split()
        name = attributes.get("id") or (words[0] if words else "")
        expects = attributes.get("verdict") or (words[1] if len(words) > 1 else None)
        if not name:
            raise GptexpError(
                f'line {_line(text, found.start())} binds a passage and names no claim; give it id="NAME"'
            )
        if expects not in (None, *VERDICTS):
            line, known = _line(text, found.start()), ", ".join(VERDICTS)
            raise GptexpError(f"line {line} expects the verdict {shorten(expects)}; there are: {known}")
        yield name, expects, *found.span(f"in_{group}")
    if openings:
        line = _line(text, min(openings))
        raise GptexpError(f"line {line} binds a passage to a claim and never ends it; close it with </Claim> or /claim")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def blank_code(text: str, suffix: str) -> str:
    """The text with everything but its prose replaced by spaces; line breaks stay."""
    if suffix in (".tsx", ".jsx"):
        return _keep_prose_of_code(text)
    patterns = [COMMENT, CODE_ELEMENT]
    if suffix in MARKDOWN:
        patterns = [FRONT_MATTER, FENCE, *patterns]
    if suffix == ".mdx":
        patterns += [MODULE_LINE]
    for pattern in patterns:
        text = pattern.sub(lambda found: _blank(found[0], BREAK), text)
    text = TAG.sub(lambda found: _blank_tag(found[0]), text)
    for pattern in (ADDRESS, *([EXPRESSION] if suffix == ".mdx" else [])):
        text = pattern.sub(lambda found: _blank(found[0]), text)
    return text


def _blank_tag(tag: str) -> str:
    return _blank(tag, " " if INLINE.match(tag) else BREAK)


def _keep_prose_of_code(text: str) -> str:
    """Text between tags, and strings of several words."""
    code = COMMENT.sub(lambda found: _blank(found[0]), text)
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
    prose: str, start: int, end: int, text: str, claim: str | None = None, expects: str | None = None
) -> Sentence:
    piece = prose[start:end]
    start += len(piece) - len(piece.lstrip(f"{BREAK} \t\n"))
    words = " ".join(re.sub(rf"[*_`#|{BREAK}]+", " ", piece).split()).strip("-+>• ")
    return Sentence(words, start, end, _line(text, start), claim, expects)
