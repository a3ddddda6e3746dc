"""Writes the commands that messages advise, so that they can be copied and run as they are."""

from __future__ import annotations

import os
from pathlib import Path

from gptexp.text import quote_words

USUAL_RUNS_DIR = "runs"


def spell(words: str, runs_dir: Path | None = None) -> str:
    """A command, with --runs-dir if the runs folder is not the default one.

    Args:
        words: the command as typed.
        runs_dir: the folder of the runs in question; None for a command without --runs-dir.
    """
    usual = Path(os.environ.get("GPTEXP_RUNS_DIR") or USUAL_RUNS_DIR)
    named = "" if runs_dir in (None, usual) else f" --runs-dir {quote_words([str(runs_dir)])}"
    return f"{words}{named}"


def advise(words: str, runs_dir: Path | None = None) -> str:
    """`spell` in backticks, for a message."""
    return f"`{spell(words, runs_dir)}`"
