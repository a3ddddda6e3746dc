"""Draws docs/architecture.svg from the imports of the code.

Command:  python docs/draw_architecture.py            (writes the picture)
          python docs/draw_architecture.py --check    (exit status 1 where the picture is not that of today's code)

The rows are the layers of the import contract in pyproject.toml. An arrow means "imports"; one that follows from two
others is left out, so that a picture of fifty arrows becomes one of twenty.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
FOUNDATION = 4
"""The last layers hold small modules that everything may use: they share one box."""
BOX_WIDTH, BOX_HEIGHT, ROW, LEFT, TOP, GAP = 520, 44, 66, 130, 20, 20
HIDDEN = {"__main__"}
STYLE = """
.box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1 }
.name { font: 600 15px system-ui, sans-serif; fill: #1f2328 }
.note { font: 12px system-ui, sans-serif; fill: #57606a }
.arrow { fill: none; stroke: #57606a; stroke-width: 1.2 }
.head { fill: #57606a }
@media (prefers-color-scheme: dark) {
.box { fill: #161b22; stroke: #8b949e }
.name { fill: #f0f6fc }
.note { fill: #b1bac4 }
.arrow { stroke: #8b949e }
.head { fill: #8b949e }
}
"""


def read_layers() -> list[list[str]]:
    """The layers from the top down, each a list of modules."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[name.strip() for name in layer.split("|")] for layer in layers]


def read_imports(boxes: dict[str, list[str]]) -> set[tuple[str, str]]:
    """(importer, imported) between boxes, without those that follow from others."""
    graph = grimp.build_graph("gptexp", exclude_type_checking_imports=True)
    home = {module: box for box, modules in boxes.items() for module in modules}
    found = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            names = [name.split(".")[1] if "." in name else "" for name in (module, imported)]
            one, other = home.get(names[0]), home.get(names[1])
            if one and other and one != other:
                found.add((one, other))
    return {edge for edge in found if not is_implied(edge, found)}


def is_implied(edge: tuple[str, str], edges: set[tuple[str, str]]) -> bool:
    """Whether a longer way leads from one end of an edge to the other."""
    seen, waiting = set(), [other for one, other in edges if one == edge[0] and other != edge[1]]
    while waiting:
        box = waiting.pop()
        if box == edge[1]:
            return True
        if box not in seen:
            seen.add(box)
            waiting += [other for one, other in edges if one == box]
    return False


def describe(name: str) -> str:
    """The first sentence of a module's or package's docstring."""
    path = ROOT / "gptexp" / name
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]


def draw() -> str:
    """The SVG text."""
    layers = [[name for name in layer if name not in HIDDEN] for layer in read_layers()]
    rows = [layer for layer in layers[:-FOUNDATION] if layer]
    ground = [name for layer in layers[-FOUNDATION:] for name in layer]
    rows.append(["foundation"])
    boxes = {name: [name] for row in rows for name in row} | {"foundation": ground}
    places: dict[str, tuple[float, float, float]] = {}
    shapes = []
    for place, row in enumerate(rows):
        width = (BOX_WIDTH - GAP * (len(row) - 1)) / len(row)
        for column, name in enumerate(row):
            x, y = LEFT + column * (width + GAP), TOP + place * ROW
            places[name] = (x, y, width)
            note = ", ".join(ground) if name == "foundation" else describe(name)
            shapes.append(draw_box(x, y, width, name, note))
    order = {name: place for place, row in enumerate(rows) for name in row}
    arrows = [
        draw_arrow(places, order, one, other, side)
        for side, (one, other) in enumerate(
            sorted(read_imports(boxes), key=lambda edge: (order[edge[0]], order[edge[1]], edge))
        )
    ]
    width, height = LEFT * 2 + BOX_WIDTH, TOP * 2 + (len(rows) - 1) * ROW + BOX_HEIGHT
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            'aria-label="The packages of gptexp from the top down; an arrow means that one imports the other">',
            f"<style>{STYLE}</style>",
            f'<defs>{head}<path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>',
            *arrows,
            *shapes,
            "</svg>\n",
        ]
    )


def draw_box(x: float, y: float, width: float, name: str, note: str) -> str:
    """A box with a name and what stands under it, cut to the width of the box."""
    room = int(width / 6.7)
    note = note if len(note) <= room else note[: room - 1].rstrip(" ,") + "…"
    return (
        f'<rect class="box" x="{x:g}" y="{y:g}" width="{width:g}" height="{BOX_HEIGHT}" rx="6"/>'
        f'<text class="name" x="{x + 10:g}" y="{y + 19:g}">{escape(name)}</text>'
        f'<text class="note" x="{x + 10:g}" y="{y + 35:g}">{escape(note)}</text>'
    )


def draw_arrow(
    places: dict[str, tuple[float, float, float]], order: dict[str, int], one: str, other: str, number: int
) -> str:
    """Straight down between neighbours; around the boxes, left or right in turn, where others lie between."""
    (x, y, width), (to_x, to_y, to_width) = places[one], places[other]
    rows = order[other] - order[one]
    if rows == 1:
        start, end = x + width / 2, to_x + to_width / 2
        narrow = min(width, to_width)
        start, end = (end, end) if narrow == to_width else (start, start)
        return f'<path class="arrow" marker-end="url(#head)" d="M{start:g} {y + BOX_HEIGHT:g} L{end:g} {to_y:g}"/>'
    bend = 26 + 11 * rows
    middle, target = y + BOX_HEIGHT / 2, to_y + BOX_HEIGHT / 2
    if number % 2:
        edge, to_edge, turn = x + width, to_x + to_width, LEFT + BOX_WIDTH + bend
    else:
        edge, to_edge, turn = x, to_x, LEFT - bend
    return (
        f'<path class="arrow" marker-end="url(#head)" '
        f'd="M{edge:g} {middle:g} C{turn:g} {middle:g} {turn:g} {target:g} {to_edge:g} {target:g}"/>'
    )


def main() -> int:
    """Write the picture, or compare it."""
    picture = draw()
    if "--check" in sys.argv[1:]:
        if PICTURE.is_file() and PICTURE.read_text(encoding="utf-8") == picture:
            return 0
        print("docs/architecture.svg is not that of the code; run: python docs/draw_architecture.py", file=sys.stderr)
        return 1
    PICTURE.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
