"""A figure as pieces: `NAME.tsx` for React, `NAME.html` to embed anywhere, `NAME-wide.json` for chart libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import escape
from matplotlib.figure import Figure

from gptexp.report.document import ExhibitFile
from gptexp.report.figures.canvas import Drawing
from gptexp.report.live import describe_panel, shorten_number
from gptexp.report.pieces.drawn import Curve, list_curves, list_panels, name_axes
from gptexp.report.pieces.runtime import (
    FOLDER,
    HINT,
    embed,
    inline_readout,
    name_component,
    write_figure_css,
    write_script,
)
from gptexp.report.pieces.wide import write_wide
from gptexp.report.render import strip_style


@dataclass(frozen=True)
class Drawn:
    """One layout of a figure, drawn."""

    figure: Figure
    svg: str


def list_figure_pieces(slug: str, drawing: Drawing, layouts: Mapping[str, Drawn]) -> list[ExhibitFile]:
    """The pieces of a figure.

    Args:
        layouts: by name, as the page shows them.
    """
    wide, narrow = layouts["wide"].figure, layouts["narrow"].figure
    curves = list_curves(wide, narrow, drawing.data)
    data = {
        "slug": slug,
        "title": drawing.title,
        "caption": drawing.caption,
        "description": drawing.description,
        "runIds": list(drawing.run_ids),
        "layouts": [_describe_layout(name, drawn) for name, drawn in layouts.items()],
        "panels": [name_axes(ax, wide) for ax in list_panels(wide)],
        "curves": [
            {
                "panel": curve.panel,
                "name": curve.name,
                "what": curve.what.replace("_", " "),
                "run": curve.run,
                "colour": curve.colour,
                "points": _list_points(curve),
            }
            for curve in curves
        ],
    }
    files = [
        ExhibitFile("React", f"{FOLDER}/{slug}.tsx", _write_component(slug, data)),
        ExhibitFile("embed", f"{FOLDER}/{slug}.html", _write_embed(slug, data)),
    ]
    wide_data = write_wide(drawing, curves)
    return [*files, ExhibitFile("wide JSON", f"{FOLDER}/{slug}-wide.json", wide_data)] if wide_data else files


def _list_points(curve: Curve) -> list[list[float]]:
    """x and y of each point, and where it differs, x as a reader is told it."""
    points = zip(curve.x, curve.y, curve.told, strict=True)
    return [
        [shorten_number(x), shorten_number(y), *([shorten_number(told)] if told != x else [])] for x, y, told in points
    ]


def _describe_layout(name: str, drawn: Drawn) -> dict[str, Any]:
    panels = [describe_panel(ax, drawn.figure) for ax in list_panels(drawn.figure)]
    return {"name": name, "svg": strip_style(drawn.svg).strip(), "panels": panels}


def _write_component(slug: str, data: dict[str, Any]) -> str:
    name = name_component(slug)
    return (
        f'import {{ GptexpFigure, type FigureData, type PieceProps }} from "./gptexp-figure";\n\n'
        f"export const figure: FigureData = {write_script(data)};\n\n"
        f"export default function {name}(props: PieceProps) {{\n"
        f"  return <GptexpFigure figure={{figure}} {{...props}} />;\n}}\n"
    )


def _write_embed(slug: str, data: dict[str, Any]) -> str:
    """The drawings stand in the markup; the script has the numbers alone."""
    numbers = {**data, "layouts": [{**layout, "svg": ""} for layout in data["layouts"]]}
    layouts = "\n".join(f'<div class="gx-layout gx-{one["name"]}">{one["svg"]}</div>' for one in data["layouts"])
    label = escape(f"{data['title']}: arrow keys read its points")
    body = (
        f'<figure class="gx-piece" data-gx="{slug}">\n<p class="gx-title">{escape(data["title"])}</p>\n'
        f'<div class="gx-plot" tabindex="0" role="group" aria-label="{label}">\n{layouts}\n</div>\n'
        f"{f'<output class=gx-read>{HINT}</output>' if data['curves'] else ''}\n"
        f"<figcaption>{escape(data['caption'])}</figcaption>\n</figure>\n"
    )
    script = (
        f"{inline_readout()}\nconst figure = {write_script(numbers)};\n"
        f"document.querySelectorAll('[data-gx=\"{slug}\"]:not([data-answers])').forEach((root) => {{\n"
        f'  root.dataset.answers = "";\n  attachReadout(root, figure);\n}});\n'
    )
    return embed(slug, data["title"], write_figure_css(), body, script)
