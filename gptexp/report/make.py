"""Exhibits made: drawn, tabulated, and written in every form that an author may want to paste.

Over many runs several processes make them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from gptexp.errors import GptexpError
from gptexp.processes import Processes
from gptexp.report.cells import write_csv, write_rows
from gptexp.report.code import CodeShown
from gptexp.report.declare import Exhibit
from gptexp.report.document import BuiltExhibit, ExhibitFile, Kind
from gptexp.report.exhibits import Content, NoStudy, NothingToShow, Source, find_exhibit
from gptexp.report.figures.canvas import NARROW, WIDE, Drawing
from gptexp.report.limits import cut_rows
from gptexp.report.markdown import write_markdown
from gptexp.report.pieces.figure import Drawn, list_figure_pieces
from gptexp.report.pieces.table import list_table_pieces
from gptexp.report.render import render_content, render_figure
from gptexp.report.samples import SampleGrid
from gptexp.report.svg import drawing_style, render_png, render_svg
from gptexp.report.tables import Table
from gptexp.runs.study_runs import keep_arms

AT_ONCE = 7
"""Exhibits of one study that one process makes in turn: few enough that no process waits long for the others."""


@dataclass(frozen=True)
class Order:
    """An exhibit to be made. Its declaration has a slug that no other exhibit of the page has."""

    exhibit: Exhibit
    source: Source


def make_exhibits(orders: Sequence[Order], processes: Processes) -> list[BuiltExhibit | str]:
    """The exhibits in their order; instead of one for which there is no data, the sentence that says so.

    Raises:
        GptexpError: of the maker of an exhibit.
    """
    made: dict[int, BuiltExhibit | str] = {}
    by_study: dict[str, list[int]] = {}
    for number, order in enumerate(orders):
        if order.source.study:
            by_study.setdefault(order.source.study.key, []).append(number)
        else:
            # Made at once, and what it is made from need not travel.
            made[number] = make_exhibit(order)
    groups = [own[start : start + AT_ONCE] for own in by_study.values() for start in range(0, len(own), AT_ONCE)]
    results = processes.map(_make_group, [[orders[number] for number in group] for group in groups])
    for group, result in zip(groups, results, strict=True):
        made.update(zip(group, result, strict=True))
    return [made[number] for number in range(len(orders))]


def _make_group(orders: list[Order]) -> list[BuiltExhibit | str]:
    return [make_exhibit(order) for order in orders]


def make_exhibit(order: Order) -> BuiltExhibit | str:
    """One exhibit, or the sentence that says why there is none.

    An error in the code of an exhibit carries a note with the exhibit's name.
    """
    try:
        return _make_content(order)
    except GptexpError:
        raise
    except Exception as error:
        error.add_note(f"in the exhibit {order.exhibit.kind!r}{_name_study(order)}")
        raise


def _name_study(order: Order) -> str:
    return f" of {order.source.study.key}" if order.source.study else ""


def _make_content(order: Order) -> BuiltExhibit | str:
    wanted, source = order.exhibit, order.source
    study_key = source.study.key if source.study else ""
    if wanted.arms and source.study:
        source = dataclasses.replace(source, study=keep_arms(source.study, wanted.arms))
    try:
        content = find_exhibit(wanted.kind)(source) if source.study or not wanted.study else None
    except NoStudy:
        raise GptexpError(f"the report names no study for the exhibit {wanted.kind!r}") from None
    except NothingToShow as reason:
        return str(reason)
    if content is None:
        what = (wanted.title or wanted.kind.replace("-", " ")).rstrip(".")
        return f"“{what}” is missing: the {f'runs of {study_key}' if study_key else 'records'} hold no data for it."
    content = cut_rows(content) if isinstance(content, Table) else content
    title, caption = wanted.title or content.title, f"{content.caption} {wanted.text}".strip()
    content = dataclasses.replace(content, title=title, caption=caption)
    return build_exhibit(wanted.slug, content, study_key)


def build_exhibit(slug: str, content: Content, study_key: str = "") -> BuiltExhibit:
    """`content` as it stands on the page, with its files.

    Args:
        slug: names its files and its place; no other exhibit has it.
    """
    kind: Kind = "figure"
    if isinstance(content, Drawing):
        body, files = _draw(slug, content)
    else:
        kind, body, fragment = render_content(content)
        if isinstance(content, CodeShown):
            files = [ExhibitFile("HTML", f"code/{slug}.html", fragment)]
            sides = ("left", "right") if len(content.listings) == 2 else ("Python",)
            for side, listing in zip(sides, content.listings, strict=True):
                ending = f"-{side}" if len(sides) == 2 else ""
                files.append(ExhibitFile(side, f"code/{slug}{ending}.py", listing.source + "\n"))
        else:
            texts = {"HTML": fragment, "CSV": write_csv(content.data), "JSON": write_json(content)}
            files = [ExhibitFile(label, f"tables/{slug}.{label.lower()}", text) for label, text in texts.items()]
        if isinstance(content, Table):
            files.append(ExhibitFile("Markdown", f"tables/{slug}.md", write_markdown(content)))
            files += list_table_pieces(slug, content, fragment)
    return BuiltExhibit(
        kind, slug, content.title, content.caption, body, tuple(files), tuple(content.run_ids), study_key
    )


def _draw(slug: str, drawing: Drawing) -> tuple[Markup, list[ExhibitFile]]:
    """A figure's HTML and its files."""
    layouts: dict[str, Drawn] = {}
    png = b""
    for layout in (WIDE, NARROW):
        with drawing_style():
            figure = drawing.draw(layout)
            prefix = f"{slug}-{layout.name}"
            svg = render_svg(figure, prefix=prefix, title=drawing.title, description=drawing.description)
            layouts[layout.name] = Drawn(figure, svg)
            if layout is WIDE:
                png = render_png(figure)
    svgs = {name: drawn.svg for name, drawn in layouts.items()}
    forms = (
        ("SVG", ".svg", svgs["wide"]),
        ("narrow SVG", "-narrow.svg", svgs["narrow"]),
        ("PNG", ".png", png),
        ("CSV", ".csv", write_csv(drawing.data)),
        ("JSON", ".json", write_json(drawing)),
        ("alt text", ".txt", f"{drawing.title}. {drawing.description}\n"),
    )
    files = [ExhibitFile(label, f"figures/{slug}{ending}", content) for label, ending, content in forms]
    return render_figure(svgs), [*files, *list_figure_pieces(slug, drawing, layouts)]


def write_json(content: Drawing | Table | SampleGrid) -> str:
    """Its data for a chart: title, caption, run ids and one object per row; what isn't finite is null."""
    head = {"title": content.title, "caption": content.caption, "run_ids": list(content.run_ids)}
    head_text = json.dumps(head, ensure_ascii=False)[:-1]
    return f'{head_text}, "rows": [\n{write_rows(content.data)}\n]}}\n'
