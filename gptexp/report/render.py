"""HTML: exhibits as the page shows them and as pieces to paste, from the same markup, and the page around them.

The page is one file that needs no other, and no script to be read. Everything but our own SVG is escaped.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

import gptexp
from gptexp.report.code import CodeShown
from gptexp.report.document import Document, Kind
from gptexp.report.limits import MOST_ARMS, MOST_DETAILED
from gptexp.report.palette import style_arm, write_css_variables
from gptexp.report.quotes import Code, Quote
from gptexp.report.samples import SampleGrid
from gptexp.report.tables import Table

TOGETHER = re.compile(r"\b(?:[\d.]+e-\d+|GPT-2)\b")
TEMPLATES = Path(__file__).parent / "templates"
PIECES = ":is(.gx-table,.gx-samples,.gx-code)"
"""What pasted pieces stand in."""


def render_item(macro: str, **values: Any) -> Markup:
    """What stands between the exhibits of a chapter, by a macro of `items.html.j2`."""
    return Markup(getattr(_environment().get_template("items.html.j2").module, macro)(**values))


def render_content(content: Table | SampleGrid | CodeShown) -> tuple[Kind, Markup, str]:
    """(kind, HTML for the page, HTML that stands alone).

    Both have the same rows, texts or lines. What stands alone is also valid inside MDX: no style attribute, and braces,
    which would start an expression, are escaped.
    """
    kind: Kind = "table" if isinstance(content, Table) else "samples" if isinstance(content, SampleGrid) else "code"
    macros: Any = _environment().get_template("exhibits.html.j2").module
    inside = getattr(macros, kind)(content)
    alone = str(getattr(macros, f"{kind}_alone")(content, inside))
    on_page = macros.table_on_page(content, inside) if kind == "table" else inside
    return kind, Markup(on_page), alone.strip().replace("{", "&#123;").replace("}", "&#125;") + "\n"


def render_figure(svgs: Mapping[str, str]) -> Markup:
    """The layouts of a figure, of which the page shows one; their style block stands in the page's CSS already."""
    return Markup("".join(f'<div class="drawing {name}">{strip_style(svg)}</div>\n' for name, svg in svgs.items()))


def strip_style(svg: str) -> str:
    """A figure's SVG for a place that defines its colours."""
    return svg[: svg.index("<style>")] + svg[svg.index("</style>") + len("</style>") :]


def render_page(document: Document) -> str:
    """The page of all chapters as HTML text."""
    script = read_template("sort.js") + read_template("scrolls.js")
    return _render("page.html.j2", document, script, read_template("style.css"))


def render_lesson(document: Document) -> str:
    """The page for readers as HTML text."""
    style = read_template("style.css") + read_template("lesson.css")
    script = "".join(read_template(f"{name}.js") for name in ("hand", "curves", "lesson", "scrolls"))
    return _render("lesson.html.j2", document, script, style)


def _render(template: str, document: Document, script: str, style: str) -> str:
    return (
        _environment()
        .get_template(template)
        .render(
            document=document,
            version=gptexp.__version__,
            detailed=len(document.runs) <= MOST_DETAILED,
            css=Markup(write_css_variables(".gx") + style),
            script=Markup(script),
            policy=Markup(write_policy(script)),
        )
    )


def write_pieces_css() -> str:
    """For pasted tables, samples and code: the arms' colours in light and dark, and the rules of the pieces."""
    return f"{write_css_variables(PIECES)}\n{read_template('pieces.css')}"


def read_template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def write_policy(script: str) -> str:
    """The page's content security policy: its own styles and this one script, and nothing from anywhere else.

    Should markup ever slip through the escaping, it still can't run, load or send anything.

    Source: https://www.w3.org/TR/CSP3/#grammardef-hash-source
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own = f"style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _keep_together
    environment.globals.update(style_arm=style_arm, most_arms=MOST_ARMS)
    environment.tests.update(quote=lambda value: isinstance(value, Quote), code=lambda value: isinstance(value, Code))
    return environment


def _keep_together(text: str) -> Markup:
    """Escaped text in which no line breaks inside `6e-4` or `GPT-2`."""
    return Markup(TOGETHER.sub(r'<span class="nb">\g<0></span>', str(escape(text))))
