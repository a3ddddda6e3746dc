"""The data of a part as CSV and JSON, a column at a time: figures of many runs have millions of cells.

Texts of a CSV are written so that no spreadsheet takes them for formulas; JSON has them as they are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import orjson
import pandas as pd

from gptexp.report.provenance import clean
from gptexp.text import defuse_cell

Texts = list[str]
SMALLEST_PLAIN, LARGEST_PLAIN = 1e-4, 1e16
"""Between them Python writes a float without an exponent."""


def write_csv(data: pd.DataFrame) -> str:
    """What `defuse_frame(data).to_csv` writes, several times as fast."""
    columns = [csv_texts(data[name]) for name in data]
    if len(columns) < 2 or any(texts is None for texts in columns):
        # Of one column, empty cells are quoted; other types have their own rules.
        return defuse_frame(data).to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    lines = map(",".join, zip(*(texts for texts in columns if texts is not None), strict=True))
    return "\n".join([",".join(quote(str(name)) for name in data), *lines, ""])


def defuse_frame(data: pd.DataFrame) -> pd.DataFrame:
    """The same data, its texts and headings as no spreadsheet reads them as formulas."""
    harmless = {}
    for place, name in enumerate(data):
        column = data.iloc[:, place]
        texts = not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))
        harmless[defuse_cell(str(name))] = column.astype(object).map(_defuse) if texts else column
    return pd.DataFrame(harmless)


def _defuse(value: Any) -> Any:
    return defuse_cell(value) if isinstance(value, str) else value


def write_rows(data: pd.DataFrame) -> str:
    """One JSON object per row and line, with commas between them; what isn't finite is null."""
    names = [json.dumps(str(name), ensure_ascii=False).replace("%", "%%") for name in data]
    template = "{" + ", ".join(f"{name}: %s" for name in names) + "}"
    return ",\n".join(map(template.__mod__, zip(*(json_texts(data[name]) for name in data), strict=True)))


def csv_texts(column: pd.Series) -> Texts | None:
    """The cells as CSV has them; None for a type that isn't one of numbers, truths and words."""
    if column.dtype == np.float64:
        return float_texts(column, nan="", infinite=str)
    if column.dtype in (np.int64, np.bool_):
        return [str(value) for value in column.tolist()]
    values = column.tolist()
    if not all(type(value) is str or value is None or (type(value) is float and value != value) for value in values):
        return None
    return remember(quote, values, otherwise=lambda _: "")


def json_texts(column: pd.Series) -> Texts:
    """The cells as JSON."""
    if column.dtype == np.float64:
        return float_texts(column, nan="null", infinite=lambda _: "null")
    if column.dtype == np.int64:
        return [str(value) for value in column.tolist()]
    return remember(encode_cell, column.tolist(), otherwise=encode_cell)


def float_texts(column: pd.Series, *, nan: str, infinite: Callable[[float], str]) -> Texts:
    """Shortest decimals that give the same float again, as Python writes them."""
    values = column.to_numpy()
    if not len(values):
        return []
    texts = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1].split(",")
    # orjson is ten times as fast as repr and differs from it in nothing but exponents.
    for place in np.flatnonzero(~((np.abs(values) >= SMALLEST_PLAIN) & (np.abs(values) < LARGEST_PLAIN))):
        texts[place] = repr(float(values[place]))
    for place in np.flatnonzero(~np.isfinite(values)):
        texts[place] = nan if np.isnan(values[place]) else infinite(float(values[place]))
    return texts


def remember(write: Callable[[str], str], values: Sequence[Any], *, otherwise: Callable[[Any], str]) -> Texts:
    """`write` of every text, called once per different one, and `otherwise` of all else."""
    known: dict[str, str] = {}
    for value in unique_words(values):
        known[value] = write(value)
    return [known[value] if type(value) is str else otherwise(value) for value in values]


def unique_words(values: Iterable[Any]) -> set[str]:
    return {value for value in values if type(value) is str}


def quote(text: str) -> str:
    """A text as a CSV field, harmless, and in quotes where it needs them."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_MINIMAL).writerow([defuse_cell(text), ""])
    return buffer.getvalue()[:-2]


def encode_cell(value: Any) -> str:
    cleaned = clean(value)
    if isinstance(cleaned, str) and cleaned in ("inf", "-inf"):
        return "null"
    return json.dumps(cleaned, ensure_ascii=False, allow_nan=False)
