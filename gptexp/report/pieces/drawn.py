"""What a drawn figure shows, read back from it: its panels, their axes and every clear curve in numbers.

Each curve is looked for in the figure's data, which know its quantity, its arm and its run; the legend knows its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

from gptexp.measures.curves import Floats
from gptexp.report.live import SCALES
from gptexp.report.palette import LIGHT, MUTED

FAINT = 0.5
"""Curves of a lower opacity are background: a reader isn't led to their points."""
PROBES = 24
"""So many points of a curve are looked for in the data before it counts as not found there."""
ARM = ("series", "arm")
KEYS = {"arm", "series", "seed", "run_id", "step"}
"""Columns that say which point it is, not what was measured there."""


@dataclass(frozen=True)
class Curve:
    """One curve or row of markers of a panel."""

    panel: int
    name: str
    """As the legend has it; empty where it has none."""
    what: str
    """The column of the figure's data that it shows; empty where it is in none."""
    arm: str
    """In the figure's data; empty where it is of none."""
    run: str
    """The run id, where one run alone is behind it."""
    colour: str
    """A CSS colour."""
    x: Floats
    y: Floats
    told: Floats
    """x as a reader is told it: curves that would cover each other are drawn a little beside where they belong."""


def list_curves(wide: Figure, narrow: Figure, data: pd.DataFrame) -> list[Curve]:
    """The curves of a figure.

    Args:
        narrow: the same figure in the layout whose legend names every curve.
        data: its rows, as its CSV holds them.
    """
    names = _read_legend(narrow)
    curves: list[Curve] = []
    for place, (ax, twin) in enumerate(zip(list_panels(wide), list_panels(narrow), strict=True)):
        # On a narrow page nothing but an arm's label stands above a panel.
        title = twin.get_title(loc="left")
        rows = _read_rows(ax)
        for colour, marker, x, y in _list_points(ax):
            found = _find(data, x, y, in_rows=bool(rows))
            name = title or names.get((colour, marker)) or names.get((colour, "")) or names.get((colour, "None"))
            if rows:
                own = rows.get(round(float(y.mean())), "")
                name = ", ".join(filter(None, (own, name)))
            told = x if found.told is None else found.told
            curve = Curve(place, name or found.arm, found.what, found.arm, found.run, spell_colour(colour), x, y, told)
            curves = [*(known for known in curves if not _is_part(known, curve)), curve]
    return curves


def _is_part(one: Curve, other: Curve) -> bool:
    """Whether a curve's points are all points of another one of its name."""
    if (one.panel, one.name, one.what) != (other.panel, other.name, other.what):
        return False
    return {*zip(one.x, one.y, strict=True)} <= {*zip(other.x, other.y, strict=True)}


def list_panels(figure: Figure) -> list[Axes]:
    """The axes that show something; a second scale at their side is none."""
    return [ax for ax in figure.axes if ax.lines or ax.patches]


def name_axes(ax: Axes, figure: Figure) -> dict[str, Any]:
    """Labels and scales of a panel; panels above each other share the label of the last one."""
    last = list_panels(figure)[-1]
    upright = [text.get_text() for text in figure.texts if text.get_rotation() == 90]
    return {
        "xLabel": ax.get_xlabel() or last.get_xlabel(),
        "yLabel": ax.get_ylabel() or "".join(upright[:1]),
        "xScale": SCALES.get(ax.get_xscale(), "linear"),
        "yScale": SCALES.get(ax.get_yscale(), "linear"),
    }


def spell_colour(colour: str) -> str:
    """`var(--gx-arm0, #0066a6)`: the figures' variable, and its light colour for where it isn't defined."""
    name = next((name for name, value in LIGHT.items() if value == colour), None)
    return f"var(--gx-{name}, {colour})" if name else colour


def _read_legend(figure: Figure) -> dict[tuple[str, str], str]:
    """(colour, marker) of each entry to its text. Entries are drawn in pairs: a line, then its text."""
    lines = [artist for artist in figure.artists if isinstance(artist, Line2D)] or list(figure.lines)
    entries = [
        (to_hex(str(line.get_color())), str(line.get_marker()), text.get_text())
        for line, text in zip(lines, figure.texts, strict=False)
    ]
    names: dict[tuple[str, str], str] = {}
    for colour, marker, text in entries:
        # An arm's markers and its line have one name; looks that several entries share name nothing.
        for key in ((colour, marker), (colour, "")) if colour != MUTED else ((colour, marker),):
            names[key] = text if names.setdefault(key, text) == text else ""
    return names


def _read_rows(ax: Axes) -> dict[int, str]:
    """The names beside the rows of a panel that has rows instead of heights; empty for all others."""
    texts = [text for text in ax.texts if isinstance(text, Annotation)] if not len(ax.get_yticks()) else []
    return {round(text.xy[1]): text.get_text() for text in texts if text.xy[0] < 0}


def _list_points(ax: Axes) -> list[tuple[str, str, Floats, Floats]]:
    """(colour, marker, x, y) of what is drawn in the panel's own units and clearly; a histogram has the bins' tops."""
    found = []
    for line in ax.lines:
        if line.get_transform() == ax.transData and (line.get_alpha() or 1) >= FAINT:
            x, y = (np.asarray(values, dtype=float) for values in line.get_data())
            inside = np.isfinite(x) & np.isfinite(y) & _is_between(x, ax.get_xlim()) & _is_between(y, ax.get_ylim())
            if inside.any():
                found.append((to_hex(str(line.get_color())), str(line.get_marker()), x[inside], y[inside]))
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    if bars:
        tops = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in bars]
        x, y = np.array(tops, dtype=float).T
        found.append((to_hex(bars[0].get_facecolor()), "None", x, y))
    return found


def _is_between(values: Floats, limits: tuple[float, float]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    low, high = sorted(limits)
    found: np.ndarray[Any, np.dtype[np.bool_]] = (values >= low) & (values <= high)
    return found


@dataclass(frozen=True)
class Found:
    """Where a curve stands in the data."""

    what: str = ""
    arm: str = ""
    run: str = ""
    told: Floats | None = None


def find_arm_column(data: pd.DataFrame) -> str | None:
    """The column that tells the curves of a figure apart."""
    return next((name for name in ARM if name in data), None)


def _find(data: pd.DataFrame, x: Floats, y: Floats, *, in_rows: bool) -> Found:
    """Look for a point of a curve, or for all of it.

    Args:
        in_rows: the height of a point says only whose it is.
    """
    numbers = {str(name): data[name].to_numpy(dtype=float) for name in data.select_dtypes("number")}
    arm = find_arm_column(data)
    what_alone = ""
    for place in np.unique(np.linspace(x.size - 1, 0, PROBES).astype(int))[::-1]:
        for what, column in numbers.items():
            if what in KEYS:
                continue
            rows = [
                int(row)
                for row in np.flatnonzero(column == (x if in_rows else y)[place])
                if in_rows or any(other[row] == x[place] for name, other in numbers.items() if name != what)
            ]
            if rows and (arm is None or data[arm].iloc[rows].nunique() == 1):
                return _describe_row(data, rows[0], what)
            # Arms that agree at every point: whose curve it is, the data can't say.
            what_alone = what_alone or (what if rows else "")
    return _find_whole(data, y) or Found(what_alone)


def _find_whole(data: pd.DataFrame, y: Floats) -> Found | None:
    """The arm of which a column holds just these values, in the order of a rate or a bin."""
    arm = find_arm_column(data)
    across = next((name for name in ("lr", "from") if name in data), None)
    if arm is None or across is None:
        return None
    for _, rows in data.reset_index(drop=True).groupby(arm, sort=False):
        once = rows.drop_duplicates(across).sort_values(across)
        for what in map(str, once.select_dtypes("number")):
            known = once.dropna(subset=[what])
            if what != across and np.array_equal(known[what].to_numpy(dtype=float), y):
                found = _describe_row(data, int(known.index[0]), what)
                # A bin is told by its middle, where it stands.
                told = known[across].to_numpy(dtype=float) if across == "lr" else None
                return Found(what, found.arm, "" if len(known) > 1 else found.run, told)
    return None


def _describe_row(data: pd.DataFrame, row: int, what: str) -> Found:
    arm = find_arm_column(data)
    name = str(data[arm].iloc[row]) if arm else ""
    if "run_id" not in data:
        return Found(what, name)
    own = data[data[arm] == name] if arm else data
    ids = own["run_id"].dropna().unique()
    return Found(what, name, str(ids[0]) if len(ids) == 1 else "")
