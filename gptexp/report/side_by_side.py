"""The parts of a report's sections; over many runs they are made in several processes at once."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from matplotlib.figure import Figure

from gptexp.analysis.instances import Instance
from gptexp.machine import count_cores
from gptexp.report.blocks import Block, Files, make_block
from gptexp.report.figures.canvas import Drawing, Layout
from gptexp.report.parts import make_parts

MANY_RUNS = 200
"""From this many run folders on processes pay for their start: each takes two seconds to import what it needs."""
MOST_PROCESSES = 4
"""More gain little: reading the records and writing the page take a third of the time. Each holds 350 MB."""
PARTS_AT_ONCE = 7
"""Parts of one section that one process makes in turn: few enough that no process waits long for the others."""

Made = list[tuple[Block, Files]]


@dataclass(frozen=True)
class Wanted:
    """The parts of one section. Plain data: it crosses process boundaries."""

    instance: Instance
    slug: str
    parts: tuple[str, ...]


def make_section(wanted: Wanted) -> Made:
    """Its parts with their files, without those for which there is no data.

    Raises:
        GptexpError: a name that no part has.
    """
    return [
        make_block(f"{wanted.slug}-{part.name}", part, wanted.instance.key)
        for part in make_parts(wanted.instance, wanted.parts)
    ]


class Sections:
    """Makes the sections of a report over `runs_dir`. A context manager: its processes end with it.

    They start at once, so that they are ready when the records have been read; this process does its share beside them.
    """

    def __init__(self, runs_dir: Path) -> None:
        others = min(count_cores(), MOST_PROCESSES) - 1
        is_large = runs_dir.is_dir() and sum(1 for _ in runs_dir.iterdir()) >= MANY_RUNS
        self.pool = (
            ProcessPoolExecutor(others, mp_context=multiprocessing.get_context("spawn"))
            if is_large and others
            else None
        )
        if self.pool:
            # A process is started with each; none is left to be started when one may have died.
            for _ in range(others):
                self.pool.submit(_wake_up)

    def __enter__(self) -> Sections:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def make(self, sections: Sequence[Wanted]) -> list[Made]:
        """What `make_section` makes of each.

        Raises:
            GptexpError: a name that no part has.
        """
        if self.pool is None:
            return [make_section(section) for section in sections]
        pieces = [piece for section in sections for piece in _split(section)]
        found: dict[str, Made] = {section.slug: [] for section in sections}
        for piece, made in zip(pieces, self._make_pieces(self.pool, pieces), strict=True):
            found[piece.slug] += made
        return list(found.values())

    def _make_pieces(self, pool: ProcessPoolExecutor, pieces: Sequence[Wanted]) -> list[Made]:
        try:
            futures = [pool.submit(_make_portable, piece) for piece in pieces]
            # From the end, while the other processes come from the beginning; what they have begun can't be cancelled.
            own = {n: make_section(pieces[n]) for n in reversed(range(len(pieces))) if futures[n].cancel()}
            return [own[n] if n in own else future.result() for n, future in enumerate(futures)]
        except BrokenProcessPool:
            # Somebody ended a process, or memory ran out: one process needs less of it.
            return [make_section(piece) for piece in pieces]


def _split(section: Wanted) -> list[Wanted]:
    starts = range(0, len(section.parts), PARTS_AT_ONCE)
    return [dataclasses.replace(section, parts=section.parts[start : start + PARTS_AT_ONCE]) for start in starts]


def _wake_up() -> None:
    """Unpickling this has imported all that a section takes."""


def _make_portable(wanted: Wanted) -> Made:
    """As `make_section`; figures can't be drawn again, as functions inside functions don't cross process boundaries."""
    return [(dataclasses.replace(block, part=_strip(block.part)), files) for block, files in make_section(wanted)]


def _strip(part: object) -> object:
    return dataclasses.replace(part, draw=_is_drawn) if isinstance(part, Drawing) else part


def _is_drawn(layout: Layout) -> Figure:
    raise RuntimeError(f"drawn already, in another process: its files are in the block, layout {layout.name} too")
