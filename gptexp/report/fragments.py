"""Tables, samples and code as pieces of HTML that stand alone: no class of ours is needed to read them.

They are also valid inside MDX: no style attribute, and braces, which would start an expression, are escaped.
"""

from __future__ import annotations

import html

from gptexp.report.code import CodePair, Line
from gptexp.report.samples import SampleGrid
from gptexp.report.tables import Column, Table

MARKS = {"added": "+", "removed": "−", "changed": "~"}


def escape(text: str) -> str:
    """Text as HTML and MDX take it literally."""
    return html.escape(text).replace("{", "&#123;").replace("}", "&#125;")


def write_table_fragment(table: Table) -> str:
    """A `<table>` with its title and caption, and the runs behind it in `data-runs`."""
    runs = f' data-runs="{escape(" ".join(table.run_ids))}"' if table.run_ids else ""
    heads = "".join(f'<th scope="col"{_align(column)}>{escape(_head(column))}</th>' for column in table.columns)
    rows = []
    for row in table.rows:
        cells = "".join(
            f"<td{_align(column)}{_mark(cell.mark)}>{escape(cell.full_text)}</td>"
            for column, cell in zip(table.columns[1:], row[1:], strict=True)
        )
        rows.append(f'<tr><th scope="row">{escape(row[0].full_text)}</th>{cells}</tr>')
    return (
        f'<table class="gx-table"{runs}>\n<caption>{escape(table.title)}. {escape(table.caption)}</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>\n"
    )


def write_samples_fragment(grid: SampleGrid) -> str:
    """A figure per text, its loss in the caption."""
    pieces = [f'<div class="gx-samples" data-runs="{escape(" ".join(grid.run_ids))}">']
    for row in (*grid.rows, *grid.earlier):
        for sample in row.samples:
            words = [sample.label or row.label, sample.loss, sample.step, sample.reason]
            caption = escape(", ".join(word for word in words if word))
            # HTML drops a line feed that follows <pre>, so one is written that may be dropped.
            text = escape(sample.prompt + sample.text)
            pieces.append(f'<figure><figcaption>{caption}</figcaption><pre dir="ltr">\n{text}</pre></figure>')
    return "\n".join([*pieces, "</div>"]) + "\n"


def write_code_fragment(pair: CodePair) -> str:
    """Two code blocks; in an aligned pair a sign in front of each line says how it compares."""
    pieces = [f'<div class="gx-code" title="{escape(pair.title)}">']
    for listing in pair.listings:
        lines = "\n".join(_write_line(line, pair.is_aligned) for line in listing.lines if line.kind != "absent")
        heading = f"{escape(listing.title)}, {escape(listing.path)}"
        pieces.append(f"<figure><figcaption>{heading}</figcaption><pre><code>{lines}</code></pre></figure>")
    return "\n".join([*pieces, "</div>"]) + "\n"


def _write_line(line: Line, aligned: bool) -> str:
    text = escape("".join(text for _, text in line.tokens))
    sign = f"{MARKS.get(line.kind, ' ')} " if aligned else ""
    return f"<mark>{sign}{text}</mark>" if line.kind == "added" else f"{sign}{text}"


def _head(column: Column) -> str:
    name = f"{column.group}: {column.heading}" if column.group else column.heading
    return f"{name} ({column.note})" if column.note else name


def _align(column: Column) -> str:
    return ' data-numeric=""' if column.numeric else ""


def _mark(mark: str) -> str:
    return f' class="gx-{escape(mark)}"' if mark else ""
