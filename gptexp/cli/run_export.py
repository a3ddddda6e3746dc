"""The records of a run as one tidy table, for `runs export`."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gptexp.plain import LARGEST
from gptexp.records import METRICS, RECORD_TYPES, encode_floats
from gptexp.text import defuse_cell, spell_bidi

COLUMNS: dict[str, str] = {"run_id": "str", "kind": "str"} | {
    field.name: str(field.type).partition(" ")[0]  # `float | None` is a float: an empty cell is None anyway
    for record_type in RECORD_TYPES.values()
    for field in dataclasses.fields(record_type)
    if field.name != METRICS
}
"""Column -> int, float, bool or str. One row has the fields of one kind of record; its other cells are None. Behind
them stands a column of floats for each metric of the run."""


def tidy_rows(run_id: str, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per record, all with the same columns; a value that is not of its column's type becomes None."""
    names = sorted({name for record in records for name in record.get(METRICS, ())})
    columns = COLUMNS | dict.fromkeys(names, "float")
    rows = [{**record, **record.get(METRICS, {}), "run_id": run_id} for record in records]
    return [{name: convert(row.get(name), kind) for name, kind in columns.items()} for row in rows]


def list_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The columns of a table of `tidy_rows` and their types."""
    return {name: COLUMNS.get(name, "float") for name in (rows[0] if rows else COLUMNS)}


def convert(value: Any, kind: str) -> Any:
    """`value` in the type of its column, else None. Lone surrogates, which UTF-8 can't encode, are escaped."""
    if isinstance(value, bool):
        return value if kind == "bool" else None
    if kind == "str" and isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if kind == "int" and isinstance(value, int) and abs(value) <= LARGEST:
        return value
    if kind == "float" and (isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST)):
        return float(value)
    return None


def encode_table(rows: Sequence[Mapping[str, Any]], file_format: str) -> bytes:
    """The table as the content of a file.

    csv: NaN, Infinity and -Infinity are written as these words, None as an empty cell. A text that a spreadsheet would
    read as a formula gets an apostrophe in front. json: one array of objects; NaN and infinities are the same words as
    strings. parquet: NaN and null are kept apart.
    """
    if file_format == "csv":
        return encode_csv(rows).encode()
    if file_format == "json":
        clean = encode_floats(rows)
        return (json.dumps(clean, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
    return encode_parquet(rows)


def encode_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lines end in a line feed; a text with line breaks is quoted. No text is a formula, none turns its direction."""
    columns = list_columns(rows)
    lines = [list(columns), *([_write_cell(row[name]) for name in columns] for row in rows)]
    encoded = []
    for line in lines:
        # csv.writer quotes carriage returns only if its line terminator has one, so use \r\n and replace it afterwards.
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\r\n").writerow(line)
        encoded.append(buffer.getvalue().removesuffix("\r\n") + "\n")
    return "".join(encoded)


def _write_cell(value: Any) -> Any:
    return spell_bidi(defuse_cell(value)) if isinstance(value, str) else encode_floats(value)


def encode_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Encode rows as Parquet with pyarrow directly, because pandas would merge NaN and null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    columns = list_columns(rows)
    arrays = {name: pa.array([row[name] for row in rows], type=types[kind]) for name, kind in columns.items()}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), sink)
    return bytes(sink.getvalue())
