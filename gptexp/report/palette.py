"""Colours, line styles and markers of arms, and the CSS variables that carry them into light and dark pages.

Figures are drawn in the light colours; `svg.py` then puts `var(--gx-...)` in their place.
"""

from __future__ import annotations

from dataclasses import dataclass

INK = "#1d2329"
MUTED = "#5a646e"
GRID = "#dfe4e8"
PAPER = "#fffffe"
ALERT = "#b42318"

ARM_COLOURS = ("#0066a6", "#c94f00", "#007a56", "#a8418a", "#7d6300", "#3f8fc4", "#505860")
"""Okabe and Ito's hues (blue, vermillion, green, purple, yellow, sky, black), each dark enough for white paper.

Source: Okabe & Ito, Color Universal Design, https://jfly.uni-koeln.de/color/
"""
ARM_COLOURS_DARK = ("#56b4e9", "#ff8b3d", "#2fc898", "#e592c6", "#e6c229", "#a9d6f5", "#c3c9cf")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[tuple[float, ...] | None, ...] = (None, (5, 1.6), (1.4, 1.4), (6, 1.6, 1.4, 1.6))
"""On and off lengths in line widths; None is solid."""

LIGHT = {"ink": INK, "muted": MUTED, "grid": GRID, "paper": PAPER, "alert": ALERT} | {
    f"arm{number}": colour for number, colour in enumerate(ARM_COLOURS)
}
DARK = {"ink": "#e8ebee", "muted": "#a2acb6", "grid": "#333b43", "paper": "#14181c", "alert": "#ff8f84"} | {
    f"arm{number}": colour for number, colour in enumerate(ARM_COLOURS_DARK)
}


@dataclass(frozen=True)
class ArmStyle:
    """How one arm looks everywhere. Neighbouring arms differ in colour, dash and marker."""

    colour: str
    dash: tuple[float, ...] | None
    marker: str
    css_colour: str
    """A CSS variable, `var(--gx-arm0)`."""
    css_dash: str
    """An SVG stroke-dasharray for a line of 3 px."""


def style_arm(index: int) -> ArmStyle:
    """The style of the arm in place `index` (from 0); 28 arms are told apart before it repeats."""
    colour = index % len(ARM_COLOURS)
    dash = (colour + index // len(ARM_COLOURS)) % len(DASHES)
    return ArmStyle(
        colour=ARM_COLOURS[colour],
        dash=DASHES[dash],
        marker=MARKERS[colour],
        css_colour=f"var(--gx-arm{colour})",
        css_dash=" ".join(f"{3 * length:g}" for length in DASHES[dash] or ()) or "none",
    )


def write_css_variables(scope: str) -> str:
    """CSS that defines the variables for `scope` in light and dark.

    Dark where the reader prefers it, unless `data-theme="light"` stands on the root element, and wherever
    `data-theme="dark"` does. `scope` may itself be the root element (a standalone SVG).

    Args:
        scope: a class selector such as `.gx`.
    """
    light = "".join(f"--gx-{name}:{value};" for name, value in LIGHT.items())
    dark = "".join(f"--gx-{name}:{value};" for name, value in DARK.items())
    unless_light = f':root:not([data-theme="light"]) {scope},:root:not([data-theme="light"]){scope}'
    if_dark = f':root[data-theme="dark"] {scope},:root[data-theme="dark"]{scope}'
    return (
        f"{scope}{{{light}}}@media (prefers-color-scheme:dark){{{unless_light}{{{dark}}}}}{if_dark}{{{dark}}}"
        # Paper is white, whatever the screen prefers.
        f"@media print{{{scope},{if_dark}{{{light}}}}}"
    )
