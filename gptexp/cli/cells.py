"""Values from records as cells of a terminal's table."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from gptexp.text import cut_text, visible

MOST_OF_CELL = 300
"""Characters of a cell before a terminal's width cuts it; --json has all."""


def one_line(value: Any) -> Text:
    """Anything from a record as one safe line; a dash for None."""
    return Text("–" if value is None else visible(cut_text(str(value), MOST_OF_CELL)).replace("\n", "\\n"))
