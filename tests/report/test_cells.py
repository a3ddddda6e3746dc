"""The fast CSV and JSON of a part are the slow ones."""

from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest

from gptexp.report.cells import encode_cell, float_texts, write_csv, write_rows

FLOATS = [0.1, -0.0, 1e22, 1e16, 1e-4, 9.9e-5, 2.3e-308, 100.0, float("nan"), float("inf"), float("-inf")]
WORDS = ["a,b", 'a"b', "a\nb", "a\r", "", " x", "é%s", "inf", None, float("nan"), "plain"]

DATA = {
    "numbers": pd.DataFrame({"x": FLOATS, "n": range(11), "is": [n % 2 == 0 for n in range(11)]}),
    "words": pd.DataFrame({'a,"%': pd.Series(WORDS, dtype=object), "n": range(11)}),
    "strings": pd.DataFrame({"s": pd.Series(["x", None, "inf"], dtype="str"), "n": [1, 2, 3]}),
    "mixed": pd.DataFrame({"m": pd.Series([1, True, 1.0, "1", None], dtype=object), "n": range(5)}),
    "one column": pd.DataFrame({"s": ["", None, "a"]}),
    "no row": pd.DataFrame({"a": [], "b": []}),
    "other types": pd.DataFrame({"f": np.float32([1.1, 2]), "c": pd.Categorical(["x", "y"])}),
}


@pytest.mark.parametrize("data", DATA.values(), ids=list(DATA))
def test_the_same_bytes_as_pandas_and_json(data: pd.DataFrame) -> None:
    """A CSV without formulas is what pandas writes; rows are what `json.dumps` makes of one object after the other."""
    assert write_csv(data) == data.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    columns = [[json.loads(encode_cell(value)) for value in data[name]] for name in data]
    rows = [dict(zip(map(str, data), values, strict=True)) for values in zip(*columns, strict=True)]
    assert write_rows(data) == ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def test_floats_are_written_as_python_does() -> None:
    """Every magnitude has Python's shortest decimals, with an exponent where Python has one."""
    random = np.random.default_rng(0)
    values = np.concatenate([10.0 ** random.uniform(-310, 308, 20_000), random.standard_normal(20_000).astype("f4")])
    assert float_texts(pd.Series(values), nan="", infinite=str) == [repr(float(value)) for value in values]
