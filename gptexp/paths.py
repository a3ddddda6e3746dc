"""Reads paths as users type them."""

from __future__ import annotations

import os
from pathlib import Path

from gptexp.errors import GptexpError
from gptexp.text import clean_text, spell_name


def read_path(text: str | os.PathLike[str]) -> Path:
    """A path from the command line or an environment variable, with `~` and `~user` expanded.

    Raises:
        GptexpError: the home folder is unknown.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        whose = Path(text).parts[0]
        raise GptexpError(
            f"{spell_name(text)!r} begins with {spell_name(whose)}, and this machine knows no such home folder; "
            f"write the path from / on, or ./{spell_name(whose)} for a folder of that name"
        ) from None


def label_folder(text: str) -> str:
    """The last part of a folder's path, for records: the rest of it is a matter of this machine."""
    return clean_text(read_path(text).resolve().name)
