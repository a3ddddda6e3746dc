"""A table as pieces: `NAME.tsx` for React and `NAME.html` to embed anywhere."""

from __future__ import annotations

from typing import Any

from gptexp.report.document import ExhibitFile
from gptexp.report.limits import MOST_ARMS
from gptexp.report.palette import style_arm
from gptexp.report.pieces.runtime import FOLDER, embed, name_component, write_script, write_table_css
from gptexp.report.tables import Table


def list_table_pieces(slug: str, table: Table, fragment: str) -> list[ExhibitFile]:
    """The pieces of a table.

    Args:
        fragment: its HTML as it stands alone.
    """
    body = f'<div class="gx-piece">\n{fragment}</div>\n'
    return [
        ExhibitFile("React", f"{FOLDER}/{slug}.tsx", _write_component(slug, table)),
        ExhibitFile("embed", f"{FOLDER}/{slug}.html", embed(slug, table.title, write_table_css(), body, "")),
    ]


def _write_component(slug: str, table: Table) -> str:
    data = {
        "title": table.title,
        "caption": table.caption,
        "runIds": list(table.run_ids),
        "columns": [
            {
                "heading": column.heading,
                "note": column.note,
                "group": column.group,
                "numeric": column.numeric,
                "swatch": _describe_swatch(column.arm),
            }
            for column in table.columns
        ],
        "rows": [
            [
                {"text": cell.text, "detail": cell.detail, "mark": cell.mark, "swatch": _describe_swatch(cell.arm)}
                for cell in row
            ]
            for row in table.rows
        ],
    }
    return (
        f'import type {{ TableHTMLAttributes }} from "react";\n'
        f'import {{ GptexpTable, type TableData }} from "./gptexp-table";\n\n'
        f"export const table: TableData = {write_script(data)};\n\n"
        f"export default function {name_component(slug)}(props: TableHTMLAttributes<HTMLTableElement>) {{\n"
        f"  return <GptexpTable table={{table}} {{...props}} />;\n}}\n"
    )


def _describe_swatch(arm: int | None) -> dict[str, Any] | None:
    if arm is None or arm >= MOST_ARMS:
        return None
    style = style_arm(arm)
    return {"colour": style.css_colour, "dash": style.css_dash}
