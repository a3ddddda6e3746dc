"""A matplotlib figure as SVG text that a page can inline: scalable, themeable, labelled, the same bytes each time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from gptexp.report.live import name_axes, turn_tags
from gptexp.report.palette import GRID, INK, LIGHT, MUTED, PAPER, write_css_variables
from gptexp.report.png_letters import draw_all_letters, wrap_notes
from gptexp.text import clean_text

SVG = "http://www.w3.org/2000/svg"
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'Noto Sans Mono', monospace"
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
SCOPE = ".gx"
NOTE_LINE = 17
"""Height of a line of notes under a PNG."""
RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gptexp",
    "font.family": "sans-serif",
    # It comes with matplotlib, and labels are measured with it.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "axes.titleweight": "normal",
    # A fixed place: matplotlib's search for one that covers nothing takes 7% of the drawing.
    "axes.titley": 1.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.formatter.useoffset": False,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 12,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 11.5,
    "ytick.labelsize": 11.5,
    "xtick.major.size": 4,
    "ytick.major.size": 0,
    "xtick.major.width": 0.8,
    # A label is text: a dollar sign in it starts no formula.
    "text.parse_math": False,
}
LOOK: Any = ["default", "seaborn-v0_8-ticks", RC]
"""matplotlib's defaults, so that a user's matplotlibrc changes no figure; on them seaborn's style "ticks", of which
matplotlib has a copy (importing seaborn takes half a second); on that ours."""


@contextmanager
def drawing_style() -> Iterator[None]:
    """The look of every figure, in force only inside the `with` block; drawing and rendering belong in one block."""
    with matplotlib.style.context(LOOK), warnings.catch_warnings():
        # A model may write characters that our font lacks; an SVG shows them in the reader's fonts.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        yield


def render_svg(figure: Figure, *, prefix: str, title: str, description: str) -> str:
    """SVG text of `figure`: a viewBox and no fixed size, text as text, colours as CSS variables.

    Args:
        figure: drawn at 72 dots per inch, so that one unit of the viewBox is one CSS pixel at full width.
        prefix: starts every id, so that several figures can stand in one page.
        title: what the figure is, in a few words.
        description: what it shows, in numbers.
    """
    _clean_texts(figure)
    title, description = clean_text(title), clean_text(description)
    name_axes(figure)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    root = ElementTree.fromstring(buffer.getvalue())
    _drop_metadata(root)
    turn_tags(root)
    _prefix_ids(root, prefix)
    for element in root.iter():
        _restyle(element)
    head = (
        f'<svg xmlns="{SVG}" class="{SCOPE[1:]}" viewBox="{root.get("viewBox")}" role="img" '
        f'aria-labelledby="{prefix}-title {prefix}-desc">'
        f'<title id="{prefix}-title">{escape(title)}</title><desc id="{prefix}-desc">{escape(description)}</desc>'
        f"<style>{write_css_variables(SCOPE)}</style>"
    )
    body = "".join(_serialize(child) for child in root)
    return f"{head}{body}</svg>\n"


def render_png(figure: Figure) -> bytes:
    """The figure as a PNG in the light colours on paper, two pixels for each of its SVG's.

    Letters that no font of this machine can draw become numbers, and notes at the bottom say what they stand for.
    Render the SVG first, because this changes the texts of the figure.
    """
    width, height = figure.get_size_inches()
    notes = wrap_notes(draw_all_letters(figure), width * figure.dpi - 28)
    room = (len(notes) * NOTE_LINE + 10 if notes else 0) / figure.dpi
    for place, line in enumerate(notes):
        y = -(place + 0.5) * NOTE_LINE / figure.dpi / height
        figure.text(14 / figure.dpi / width, y, line, color=MUTED, fontsize=11, va="center", ha="left")
    # None keeps the size of the figure.
    box = Bbox([[0, -room], [width, height]]) if notes else None
    _clean_texts(figure)
    buffer = io.BytesIO()
    about: Any = {"dpi": 2 * figure.dpi, "facecolor": PAPER, "metadata": {"Software": None}}
    figure.savefig(buffer, format="png", bbox_inches=box, **about)
    return buffer.getvalue()


def _clean_texts(figure: Figure) -> None:
    """Replace characters that XML can't hold: matplotlib writes them all the same, and the SVG can't be read back."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if (clean := clean_text(text.get_text())) != text.get_text():
            text.set_text(clean)


def _drop_metadata(root: ElementTree.Element) -> None:
    for child in list(root):
        if child.tag == f"{{{SVG}}}metadata":
            root.remove(child)


def _prefix_ids(root: ElementTree.Element, prefix: str) -> None:
    """Keep only the ids that something refers to, prefixed, and point their references at them."""
    used = {element.get(XLINK_HREF, "").removeprefix("#") for element in root.iter()}
    used |= set(re.findall(r"url\(#([^)]+)\)", " ".join(v for e in root.iter() for v in e.attrib.values())))
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in used:
            element.set("id", f"{prefix}-{name}")
        if XLINK_HREF in element.attrib:
            element.set("href", f"#{prefix}-{element.attrib.pop(XLINK_HREF).removeprefix('#')}")
        for key, value in element.attrib.items():
            if "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{prefix}-"))


def _restyle(element: ElementTree.Element) -> None:
    """Colours as variables, coordinates in hundredths of a pixel, fonts of the reader's system."""
    style = element.get("style")
    if style:
        for name, colour in LIGHT.items():
            style = style.replace(colour, f"var(--gx-{name})")
        # matplotlib writes the shorthand or the two properties, depending on its version.
        fonts = MONO if re.search(r"font[^;]*(?:px |family: )'?(?:monospace|DejaVu Sans Mono)", style) else FONTS
        style = re.sub(r"font: ([^;]*?px) [^;]+", rf"font: \1 {fonts}", style)
        style = re.sub(r"font-family: [^;]+", f"font-family: {fonts}", style)
        element.set("style", style)
    for key in ("d", "x", "y", "transform", "points"):
        value = element.get(key)
        if value:
            shorter = re.sub(r"-?\d+\.\d+", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)
            element.set(key, " ".join(shorter.split()))


def _serialize(element: ElementTree.Element) -> str:
    """The element as text without namespace prefixes, so that HTML parsers take it too."""
    tag = element.tag.rpartition("}")[2]
    attributes = "".join(
        f' {key.rpartition("}")[2]}="{escape(value, {chr(34): "&quot;"})}"' for key, value in element.attrib.items()
    )
    text = escape(element.text) if element.text and element.text.strip() else ""
    inner = text + "".join(_serialize(child) for child in element)
    return f"<{tag}{attributes}>{inner}</{tag}>" if inner else f"<{tag}{attributes}/>"
