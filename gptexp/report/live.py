"""What a script needs to answer a reader's hand, written into a figure's own SVG: axes and the names of lines.

The SVG stays the one source of what is drawn. A script reads positions from it and turns them into steps and losses.
"""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gptexp.text import clean_text

PLOT, SERIES = "gx-plot:", "gx-series:"
SCALES = {"log": "log", "function": "root"}
"""matplotlib's scales as scripts call them; every other one is linear."""
PIXELS_PER_INCH = 72
"""Of an SVG's viewBox."""


def tag_axes(ax: Axes) -> None:
    """Let a script read positions of this panel."""
    ax.set_gid(PLOT)


def tag_series(artist: Artist, **about: str) -> None:
    """Name what a script may switch off or read: arm, role (train, raw, val, pin or name) and run."""
    artist.set_gid(SERIES + json.dumps({name: clean_text(value) for name, value in about.items()}))


def name_axes(figure: Figure) -> None:
    """Write into the tag of every tagged panel where it lies and what its edges mean."""
    for ax in figure.axes:
        if str(ax.get_gid() or "").startswith(PLOT):
            about = describe_panel(ax, figure) | {"scale": SCALES.get(ax.get_xscale(), "linear")}
            ax.set_gid(PLOT + json.dumps(about))


def describe_panel(ax: Axes, figure: Figure) -> dict[str, Any]:
    """Where a panel lies in the viewBox, in pixels from the left and top, and what its edges mean."""
    width, height = (float(size) * PIXELS_PER_INCH for size in figure.get_size_inches())
    frame = ax.get_position()
    box = [frame.x0 * width, frame.x1 * width, (1 - frame.y0) * height, (1 - frame.y1) * height]
    return {
        "box": [round(edge, 2) for edge in box],
        "x": [shorten_number(edge) for edge in ax.get_xlim()],
        "y": [shorten_number(edge) for edge in ax.get_ylim()],
    }


def shorten_number(value: float) -> float:
    """To six digits, more than a screen shows."""
    return float(f"{value:.6g}")


def turn_tags(root: ElementTree.Element) -> None:
    """Tags, which matplotlib writes as ids, become attributes `data-plot` and `data-arm`, `data-role`, `data-run`."""
    for element in root.iter():
        name = element.get("id", "")
        if name.startswith(PLOT):
            element.set("data-plot", name.removeprefix(PLOT))
            del element.attrib["id"]
        elif name.startswith(SERIES):
            del element.attrib["id"]
            for key, value in json.loads(name.removeprefix(SERIES)).items():
                element.set(f"data-{key}", value)
