"""The parts of a report's sections; over many runs several processes make them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from gptexp.processes import Processes
from gptexp.report.blocks import Block, make_block
from gptexp.report.figures.canvas import Drawing, Layout
from gptexp.report.finish import Files
from gptexp.report.parts import make_parts
from gptexp.runs.study_runs import StudyRuns

PARTS_AT_ONCE = 7
"""Parts of one section that one process makes in turn: few enough that no process waits long for the others."""

Made = list[tuple[Block, Files]]


@dataclass(frozen=True)
class Wanted:
    """The parts of one section. Plain data: it crosses process boundaries."""

    study: StudyRuns
    slug: str
    parts: tuple[str, ...]


def make_sections(sections: Sequence[Wanted], processes: Processes) -> list[Made]:
    """The parts of each with their files, without those for which there is no data.

    Raises:
        GptexpError: a name that no part has.
    """
    pieces = [_split(section) for section in sections]
    made = iter(processes.map(_make_parts, [piece for split in pieces for piece in split]))
    return [[block for _ in split for block in next(made)] for split in pieces]


def _split(section: Wanted) -> list[Wanted]:
    starts = range(0, len(section.parts), PARTS_AT_ONCE)
    return [dataclasses.replace(section, parts=section.parts[start : start + PARTS_AT_ONCE]) for start in starts]


def _make_parts(wanted: Wanted) -> Made:
    made = []
    for part in make_parts(wanted.study, wanted.parts):
        block, files = make_block(f"{wanted.slug}-{part.name}", part, wanted.study.key)
        # Functions inside functions don't cross process boundaries, and this one is done.
        plain = dataclasses.replace(part, draw=_is_drawn) if isinstance(part, Drawing) else part
        made.append((dataclasses.replace(block, part=plain), files))
    return made


def _is_drawn(layout: Layout) -> Figure:
    raise RuntimeError(f"drawn already: its files are in the block, those for layout {layout.name} too")
