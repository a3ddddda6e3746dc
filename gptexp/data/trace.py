"""What one sequence trains: its tokens and every pair of context and target."""

from __future__ import annotations

from dataclasses import dataclass

from gptexp.data.tokenizer import Tokenizer
from gptexp.errors import GptexpError


@dataclass(frozen=True)
class Trace:
    """N tokens and the N-1 predictions that they train."""

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    """Every token as text; bytes that are no whole character and control characters are shown escaped."""
    pairs: tuple[tuple[tuple[str, ...], str], ...]
    """(context, target): the tokens up to a position, and the token that follows them."""


def trace_text(text: str, tokenizer: Tokenizer) -> Trace:
    """The tokens of `text`, and the input/target pairs that one training window over it holds.

    Raises:
        GptexpError: fewer than two tokens make no pair.
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
    """A token's bytes as text that is safe in a terminal: a newline is `\\n`, half a character is `\\xf0`."""
    text = piece.decode("utf-8", errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
