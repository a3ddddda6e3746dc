"""`GptexpError`, the error for everything that the user can fix."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any


class GptexpError(Exception):
    """A request that can't be met: the message says what is wrong, what was expected and what to do, in one sentence.

    The command line prints the message without a traceback and exits with `exit_status`.
    """

    exit_status = 2


class InterruptedCommand(GptexpError):
    """Somebody stopped a command; the message says how it goes on."""

    exit_status = 130


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suggestion for an unknown name: `"; did you mean lr?"`, or the list of all known names if none is similar.

    Returns:
        A clause that continues a sentence and starts with a semicolon.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(names)}" if names else ""


def read_first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it says nothing: libraries append traces and advice."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def shorten(value: Any) -> str:
    """The `repr` of a value, shortened in the middle if it is too long for a sentence."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 80
    return short.repr(value)
