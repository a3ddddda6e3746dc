"""Creates all rich consoles. They print text without markup and with invisible characters escaped."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table

from gptexp.text import visible

WIDE = 140
"""Columns of wide tables if the output is a file or a pipe."""
LEAST_WIDTH = 40
"""Smallest width in columns: narrower tables are unreadable. A terminal that reports less may not know (COLUMNS=0)."""
MOST_MEASURED = 10_000
"""Columns of a console in which every table fits."""
ROOMY = 100
"""Columns of a terminal from which on a table has two spaces between its columns, and room for all of its texts."""


def make_console(*, stderr: bool = False, piped_width: int | None = None, quiet: bool = False) -> Console:
    """A console that prints text literally: no markup in brackets, no emoji names, invisible characters escaped.

    Use `Text` objects for styles.

    Args:
        piped_width: columns if the output is not a terminal; None for rich's default, 80.
    """
    width: int | None = None
    console = Console(markup=False, highlight=False, emoji=False, stderr=stderr, quiet=quiet)
    if piped_width is not None and not console.is_terminal:
        width = piped_width
    elif console.width < LEAST_WIDTH:
        width = LEAST_WIDTH
    if width is not None:
        console = Console(markup=False, highlight=False, emoji=False, stderr=stderr, quiet=quiet, width=width)
    console.push_render_hook(_Speller())
    return console


def make_table(console: Console, *, headings: bool = True) -> Table:
    """A table without lines, its columns two spaces apart, or one where the terminal is narrow."""
    return Table(box=None, pad_edge=False, padding=(0, 2 if console.width >= ROOMY else 1, 0, 0), show_header=headings)


def break_name(console: Console, name: str) -> str:
    """`best_val_loss` as a heading: on several lines where the terminal is narrow."""
    return name if console.width >= ROOMY else name.replace("_", "_\n")


def fits(console: Console, table: Table) -> bool:
    """Whether the console has room for every word and number of `table`."""
    options = console.options.update_width(MOST_MEASURED)
    return Measurement.get(console, options, table).minimum <= console.width


class _Speller(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Spelled(content) for content in renderables]


class _Spelled:
    """Wraps a renderable and escapes invisible characters after its layout."""

    def __init__(self, content: ConsoleRenderable) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._content, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._content)
