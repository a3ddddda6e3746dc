"""Commands as messages advise them: typed as they stand there, they do what the message says."""

from __future__ import annotations

import os
from pathlib import Path

from gptexp.text import quote_words

USUAL_RUNS_DIR = "runs"


def spell(words: str, runs_dir: Path | None = None) -> str:
    """A command, with the runs folder where that isn't the usual one.

    Args:
        words: the command, as one types it.
        runs_dir: the folder of the runs that are spoken of; None for a command that takes none.
    """
    usual = Path(os.environ.get("GPTEXP_RUNS_DIR") or USUAL_RUNS_DIR)
    named = "" if runs_dir in (None, usual) else f" --runs-dir {quote_words([str(runs_dir)])}"
    return f"{words}{named}"


def advise(words: str, runs_dir: Path | None = None) -> str:
    """The same in backticks, as it stands in a message."""
    return f"`{spell(words, runs_dir)}`"
