"""A figure, table, grid of samples or pair of functions as files: every form that an author may want to paste."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gptexp.report.cells import write_csv, write_rows
from gptexp.report.code import CodePair
from gptexp.report.figures.canvas import NARROW, WIDE, Drawing
from gptexp.report.finish import Files
from gptexp.report.fragments import write_code_fragment, write_samples_fragment, write_table_fragment
from gptexp.report.markdown import write_markdown
from gptexp.report.parts import Part
from gptexp.report.samples import SampleGrid
from gptexp.report.svg import drawing_style, render_png, render_svg
from gptexp.report.tables import Table


@dataclass(frozen=True)
class Block:
    """One part of the page with the names of its files."""

    kind: str
    """figure, table, samples or code."""
    slug: str
    part: Any
    files: tuple[tuple[str, str], ...]
    """(what it is called, path) of what can be downloaded."""
    svgs: tuple[tuple[str, str], ...] = ()
    """(layout name, SVG text) of a figure."""
    study_key: str = ""
    """The key of the study instance behind it."""


def make_block(slug: str, part: Part, study_key: str = "") -> tuple[Block, Files]:
    """A part with its place on the page, and its files by path.

    Args:
        slug: names its files and its place; no other part has it.
    """
    if isinstance(part, Drawing):
        return _make_figure(slug, part, study_key)
    if isinstance(part, CodePair):
        paths = {"HTML": f"code/{slug}.html", "left": f"code/{slug}-left.py", "right": f"code/{slug}-right.py"}
        sources = [listing.source + "\n" for listing in part.listings]
        files: Files = dict(zip(paths.values(), [write_code_fragment(part), *sources], strict=True))
        return Block("code", slug, part, tuple(paths.items()), study_key=study_key), files
    paths = {kind.upper(): f"tables/{slug}.{kind}" for kind in ("html", "csv", "json")}
    fragment = write_table_fragment(part) if isinstance(part, Table) else write_samples_fragment(part)
    files = dict(zip(paths.values(), [fragment, write_csv(part.data), write_json(part)], strict=True))
    if isinstance(part, Table):
        paths["Markdown"] = f"tables/{slug}.md"
        files[paths["Markdown"]] = write_markdown(part)
    kind = "samples" if isinstance(part, SampleGrid) else "table"
    return Block(kind, slug, part, tuple(paths.items()), study_key=study_key), files


def _make_figure(slug: str, part: Drawing, study_key: str) -> tuple[Block, Files]:
    svgs, files = [], Files()
    for layout, ending in ((WIDE, ""), (NARROW, "-narrow")):
        with drawing_style():
            figure = part.draw(layout)
            prefix = f"{slug}-{layout.name}"
            svg = render_svg(figure, prefix=prefix, title=part.title, description=part.description)
            if layout is WIDE:
                files[f"figures/{slug}.png"] = render_png(figure)
        svgs.append((layout.name, svg))
        files[f"figures/{slug}{ending}.svg"] = svg
    files[f"figures/{slug}.csv"] = write_csv(part.data)
    files[f"figures/{slug}.json"] = write_json(part)
    files[f"figures/{slug}.txt"] = f"{part.title}. {part.description}\n"
    names = {"SVG": ".svg", "narrow SVG": "-narrow.svg", "PNG": ".png", "CSV": ".csv", "JSON": ".json"}
    paths = tuple((name, f"figures/{slug}{ending}") for name, ending in {**names, "alt text": ".txt"}.items())
    return Block("figure", slug, part, paths, tuple(svgs), study_key), files


def write_json(part: Drawing | Table | SampleGrid) -> str:
    """The data of a part for a chart: title, caption, run ids and one object per row; what isn't finite is null."""
    head = {"title": part.title, "caption": part.caption, "run_ids": list(part.run_ids)}
    head_text = json.dumps(head, ensure_ascii=False)[:-1]
    return f'{head_text}, "rows": [\n{write_rows(part.data)}\n]}}\n'
