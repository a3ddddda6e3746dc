"""The one maker of rich consoles. Nothing from outside reaches a terminal through them but as visible text."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.measure import Measurement
from rich.segment import Segment

from gptexp.text import visible

WIDE = 140
"""Columns of a table that nobody squeezes into a window: its output is a file or a pipe."""
LEAST_WIDTH = 40
"""Columns below which no table can be read. A terminal that claims to have fewer may not know (COLUMNS=0)."""


def make_console(*, stderr: bool = False, piped_width: int | None = None) -> Console:
    """A console that leaves text as it is: no markup in brackets, no emoji between colons, nothing unseen.

    What is to be bold is a `Text` with a style.

    Args:
        piped_width: columns where the output is no terminal; None for what rich takes, 80.
    """
    width: int | None = None
    console = Console(markup=False, highlight=False, emoji=False, stderr=stderr)
    if piped_width is not None and not console.is_terminal:
        width = piped_width
    elif console.width < LEAST_WIDTH:
        width = LEAST_WIDTH
    if width is not None:
        console = Console(markup=False, highlight=False, emoji=False, stderr=stderr, width=width)
    console.push_render_hook(_Speller())
    return console


class _Speller(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Spelled(content) for content in renderables]


class _Spelled:
    """Something to print, with its text made visible once it is laid out."""

    def __init__(self, content: ConsoleRenderable) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._content, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._content)
