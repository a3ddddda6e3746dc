"""What every text of a report goes through last, whatever part it came from: nothing in it acts unseen."""

from __future__ import annotations

from gptexp.text import escape_bidi, spell_bidi

Files = dict[str, str | bytes]


def finish_files(files: Files) -> Files:
    """The files with characters that turn the direction of writing made visible, in JSON as escapes of the same value.

    Labels, prompts, samples and settings come from anywhere and reach pages, attributes, tables and pictures on many
    ways; this is the one that all of them take.
    """
    return {path: finish_text(path, content) for path, content in files.items()}


def finish_text(path: str, content: str | bytes) -> str | bytes:
    """One file as `finish_files` leaves it."""
    if isinstance(content, bytes):
        return content
    return escape_bidi(content) if path.endswith(".json") else spell_bidi(content)
