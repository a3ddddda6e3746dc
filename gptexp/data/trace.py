"""What a model learns from one sequence: its tokens, and every pair of context and target."""

from __future__ import annotations

from dataclasses import dataclass

from gptexp.data.tokenizer import Tokenizer
from gptexp.errors import GptexpError


@dataclass(frozen=True)
class Trace:
    """N tokens and the N-1 predictions that they train."""

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    """Each token as text. Control characters and bytes that are only part of a character are escaped."""
    pairs: tuple[tuple[tuple[str, ...], str], ...]
    """(context, target): the tokens up to a position, and the token that follows."""


def trace_text(text: str, tokenizer: Tokenizer) -> Trace:
    """The tokens of `text`, and the pairs of context and target in one training window over it.

    Raises:
        GptexpError: the text has fewer than two tokens, so there is no pair.
    """
    ids = tuple(int(i) for i in tokenizer.encode(text))
    if len(ids) < 2:
        raise GptexpError(
            f"{text!r} is {len(ids)} token{'s' * (len(ids) != 1)} and a prediction needs at least 2; "
            f"give it a longer text"
        )
    tokens = tuple(_show(tokenizer.piece(i)) for i in ids)
    return Trace(ids, tokens, tuple((tokens[:end], tokens[end]) for end in range(1, len(tokens))))


def _show(piece: bytes) -> str:
    """A token's bytes as text that is safe to print: a newline becomes `\\n`, a partial character `\\xf0`."""
    text = piece.decode("utf-8", errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
