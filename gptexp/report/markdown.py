"""Tables as Markdown, to paste into a document."""

from __future__ import annotations

from gptexp.report.tables import Column, Table


def write_markdown(table: Table) -> str:
    """A pipe table with its title, caption and the runs behind it. Cells can't break out of it."""
    heads = [escape_markdown(_write_heading(column)) for column in table.columns]
    lines = [
        f"**{escape_markdown(table.title)}.** {escape_markdown(table.caption)}",
        "",
        f"| {' | '.join(heads)} |",
        f"| {' | '.join('---:' if column.numeric else '---' for column in table.columns)} |",
    ]
    lines += [f"| {' | '.join(escape_markdown(cell.full_text) for cell in row)} |" for row in table.rows]
    lines += ["", f"Runs: {', '.join(table.run_ids)}"]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """`text` on one line, literal whatever Markdown, MDX (braces), formulas (dollars) or HTML would read as markup.

    One line of a table or behind `**`: nothing of it stands where MDX looks for `import` and `export`.
    """
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for character in "\\|*_`[]{}~$":
        flat = flat.replace(character, f"\\{character}")
    return flat


def _write_heading(column: Column) -> str:
    name = f"{column.group}: {column.heading}" if column.group else column.heading
    return f"{name} ({column.note})" if column.note else name
