"""What the pieces of a report share: the React components, the readout and their looks."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import escape

from gptexp.report.palette import write_css_variables
from gptexp.report.render import read_template, write_pieces_css

FOLDER = "pieces"
HINT = "Point at a curve, or use the arrow keys."
SCRIPT, TYPES = "gptexp-readout.js", "gptexp-readout.d.ts"


def write_runtime() -> dict[str, str]:
    """The files that pieces for React import, by their place in the bundle."""
    figure = read_template(f"{FOLDER}/gptexp-figure.tsx").replace("{hint}", HINT)
    table = read_template(f"{FOLDER}/gptexp-table.tsx")
    return {
        f"{FOLDER}/gptexp-figure.tsx": figure.replace('"{css}"', json.dumps(write_figure_css())),
        f"{FOLDER}/gptexp-table.tsx": table.replace('"{css}"', json.dumps(write_table_css())),
        **{f"{FOLDER}/{name}": read_template(f"{FOLDER}/{name}") for name in (SCRIPT, TYPES)},
    }


def write_figure_css() -> str:
    return write_css_variables(".gx-piece") + "\n" + read_template(f"{FOLDER}/figure.css")


def write_table_css() -> str:
    return write_pieces_css()


def inline_readout() -> str:
    """The readout as part of another script."""
    return read_template(f"{FOLDER}/{SCRIPT}").replace("export function", "function")


def embed(slug: str, title: str, css: str, body: str, script: str) -> str:
    """One HTML file with all that it needs: a page for a frame, and to paste into a page that takes HTML.

    Args:
        script: runs once the body stands.
    """
    look = (
        ".gx-piece{box-sizing:border-box;padding:12px;background:var(--gx-paper);color:var(--gx-ink);"
        "font-family:system-ui,sans-serif}"
    )
    framed = read_template(f"{FOLDER}/embed.js").replace("{slug}", slug)
    return (
        f'<!doctype html>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}\n{look}\n</style>\n{body}"
        f'<script>\n(() => {{\n"use strict";\n{script}{framed}}})();\n</script>\n'
    )


def write_script(data: Any) -> str:
    """Data inside a script, on one line: nothing in it ends the script."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def name_component(slug: str) -> str:
    """`lr-ablation-results` as `LrAblationResults`."""
    name = "".join(word[:1].upper() + word[1:] for word in slug.replace("_", "-").split("-"))
    letters = "".join(letter for letter in name if letter.isascii() and letter.isalnum())
    return letters if letters[:1].isalpha() else f"Piece{letters}"
