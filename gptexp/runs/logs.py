"""Record logs as frames, column by column: a thousand logs of a thousand steps take seconds, not minutes."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd

from gptexp.files import LARGEST_LOG, explain, read_bytes
from gptexp.plain import LARGEST
from gptexp.records import FIELDS_OF_KIND, FORMAT, METRICS, TEXT_FIELDS, complete_record
from gptexp.runs.folder import LOG, RunFolder, read_records, why_other_log
from gptexp.runs.metric_rows import MetricRow, join_frames, make_frame, name_kind
from gptexp.text import clean_text

RECORD_COLUMNS = {
    kind: [name for name in fields if name not in ("kind", METRICS)] for kind, fields in FIELDS_OF_KIND.items()
}
LARGEST_STEP = 2**53
"""Beyond it a step can't be a number in a record of ours, and wouldn't be exact as a float."""
TRUTH_COLUMNS = {name for fields in FIELDS_OF_KIND.values() for name in fields if fields[name] == "bool"}
TEXT_COLUMNS = TEXT_FIELDS - {"kind"}
KEYS = {"step": ["step"], "eval": ["step", "whole"]}
"""What tells the records of one run apart, of kinds in which the last one of several is the true one."""

Rows = list[tuple[Any, ...]]
Column = npt.NDArray[Any]
_TAKE = {kind: itemgetter(*names) for kind, names in RECORD_COLUMNS.items()}
_USUAL = {kind: 1 + len(names) for kind, names in RECORD_COLUMNS.items()}
"""Keys of a line with all columns and no metrics."""
_PLACE = "place"
"""Column of where in its log a record stood, while columns are put in order."""


class OtherLog(Exception):
    """A run's log has changed since its result was written; the text is a sentence."""


@dataclass
class LogRows:
    """The records of one log by kind, their values in the order of `RECORD_COLUMNS`."""

    rows: dict[str, Rows] = field(default_factory=lambda: {kind: [] for kind in RECORD_COLUMNS})
    metrics: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)
    """By kind and place in `rows`, of the records that have any."""

    def add(self, record: dict[str, Any]) -> None:
        """Take in a record with all its fields."""
        kind = record["kind"]
        if metrics := record.get(METRICS):
            self.metrics[kind, len(self.rows[kind])] = metrics
        self.rows[kind].append(_TAKE[kind](record))


class RecordFrames:
    """Takes log after log; run ids have to come in their order."""

    def __init__(self) -> None:
        self._run_ids: dict[str, list[str]] = {kind: [] for kind in RECORD_COLUMNS}
        self._counts: dict[str, list[int]] = {kind: [] for kind in RECORD_COLUMNS}
        self._parts: dict[str, dict[str, list[Column]]] = {kind: defaultdict(list) for kind in RECORD_COLUMNS}
        self._metrics: list[pd.DataFrame] = []

    def add(self, folder: RunFolder) -> str | None:
        """Read a run's log; returns a clause about lines of it that are no records.

        Raises:
            OtherLog: the log has changed since the run's result was written; nothing of it was taken.
        """
        try:
            data = read_bytes(folder.path / LOG, folder.path.parent, limit=LARGEST_LOG)
        except FileNotFoundError:
            data = b""
        except OSError as error:
            return f"{LOG} can't be read ({explain(error)})"
        if (reason := why_other_log(folder, data)) is not None:
            raise OtherLog(reason)
        found, problem = read_fast(data) if folder.record_format <= FORMAT else None, None
        if found is None:
            records, problem = read_records(data, folder.record_format)
            found = sort_out(records)
        metrics: list[MetricRow] = []
        for kind, rows in found.rows.items():
            if rows:
                columns = self._append(kind, folder.run_id, rows)
                metrics += list_metrics(kind, columns, found) if found.metrics else []
        if metrics:
            self._metrics.append(make_frame(folder.run_id, metrics))
        return problem

    def extend(self, later: RecordFrames) -> None:
        """Take in what `later` has read, of runs behind those here."""
        for kind in RECORD_COLUMNS:
            self._run_ids[kind] += later._run_ids[kind]
            self._counts[kind] += later._counts[kind]
            for name, columns in later._parts[kind].items():
                self._parts[kind][name] += columns
        self._metrics += later._metrics

    def build(self, kind: str) -> pd.DataFrame:
        """run_id and the columns of one kind of record, sorted by run and step."""
        ids = pd.array(self._run_ids[kind], dtype="str")
        places = np.repeat(np.arange(len(ids)), self._counts[kind])
        parts = self._parts[kind]
        columns = {name: np.concatenate(parts[name]) if parts else empty(name) for name in RECORD_COLUMNS[kind]}
        # Texts stay objects: None where there is none.
        texts = {name: pd.Series(column, dtype=object) for name, column in columns.items() if name in TEXT_COLUMNS}
        return pd.DataFrame({"run_id": ids.take(places), **columns, **texts})

    def build_metrics(self) -> pd.DataFrame:
        """run_id, step, kind, name and value of all metrics, sorted by run and step."""
        return join_frames(self._metrics)

    def _append(self, kind: str, run_id: str, rows: Rows) -> dict[str, Column]:
        """Keep the rows of one kind; returns the columns of those that count, and their `_PLACE`."""
        names = RECORD_COLUMNS[kind]
        columns = {name: as_array(name, values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
        columns[_PLACE] = np.arange(len(rows))
        if not is_in_order(columns, KEYS.get(kind)):
            columns = put_in_order(columns, KEYS.get(kind))
        for name in names:
            self._parts[kind][name].append(columns[name])
        self._run_ids[kind].append(run_id)
        self._counts[kind].append(len(columns["step"]))
        return columns


def list_metrics(kind: str, columns: dict[str, Column], found: LogRows) -> list[MetricRow]:
    """The metrics of the records of one kind that count.

    Args:
        columns: of those records, their `_PLACE` among them.
    """
    wholes = columns.get("whole", np.zeros(len(columns[_PLACE]), dtype=bool))
    places = zip(columns[_PLACE].tolist(), columns["step"].tolist(), wholes.tolist(), strict=True)
    return [
        (step, name_kind(kind, whole), name, value)
        for place, step, whole in places
        for name, value in found.metrics.get((kind, place), {}).items()
    ]


def read_fast(data: bytes) -> LogRows | None:
    """The records of a log's content in which nothing is out of the ordinary; None where something is.

    Then `read_records` decides: about torn and damaged lines, numbers that are not finite, steps that can't be.
    """
    if b'"NaN"' in data or b'Infinity"' in data or b"\r" in data:
        return None
    found = LogRows()
    lines = data.removesuffix(b"\n")
    try:
        # One list takes two thirds of the time of a thousand lines. It is read only where every line is one record.
        records = orjson.loads(b"[" + lines.replace(b"\n", b",") + b"]")
        breaks = lines.count(b"\n")
        if breaks != lines.count(b"}\n{") or len(records) != breaks + 1:
            return None
        for record in records:
            kind = record["kind"]
            if len(record) == _USUAL[kind]:
                found.rows[kind].append(_TAKE[kind](record))
            else:
                found.add(complete_record(record))
    except (ValueError, KeyError, TypeError):
        return None
    steps = [row[0] for rows in found.rows.values() for row in rows]
    is_ordinary = set(map(type, steps)) <= {int} and (not steps or (min(steps) >= 0 and max(steps) <= LARGEST_STEP))
    return found if is_ordinary else None


def sort_out(records: Sequence[dict[str, Any]]) -> LogRows:
    """Records by kind; one without a whole step is none."""
    found = LogRows()
    for record in records:
        if 0 <= record["step"] <= LARGEST_STEP:
            found.add(record)
    return found


def as_array(name: str, values: Sequence[Any]) -> Column:
    """One column of one run in the dtype that it has in a frame; a number that isn't one is NaN."""
    if name == "step":
        return np.array(values, dtype=np.int64)
    types = set(map(type, values))
    if name in TRUTH_COLUMNS:
        return np.array(values) if types == {bool} else pd.Series(values, dtype=object).eq(True).to_numpy()
    if name in TEXT_COLUMNS:
        column = np.empty(len(values), dtype=object)
        column[:] = [clean_text(value) if isinstance(value, str) else None for value in values]
        return column
    if types <= {int, float}:
        with contextlib.suppress(OverflowError):
            return np.array(values, dtype=np.float64)
    return np.array([value if is_number(value) else math.nan for value in values], dtype=np.float64)


def is_number(value: object) -> bool:
    """Whether a value is one that a float can be."""
    return type(value) is float or (type(value) is int and abs(value) <= LARGEST)


def empty(name: str) -> Column:
    """A column without a row."""
    return as_array(name, ()).astype(bool) if name in TRUTH_COLUMNS else as_array(name, ())


def is_in_order(columns: dict[str, Column], keys: list[str] | None) -> bool:
    """Whether `put_in_order` would change nothing."""
    rises = np.diff(columns["step"])
    if (rises < 0).any():
        return False
    if keys is None or (rises > 0).all():
        return True
    return len(set(zip(*(columns[key].tolist() for key in keys), strict=True))) == len(columns["step"])


def put_in_order(columns: dict[str, Column], keys: list[str] | None) -> dict[str, Column]:
    """By step. A resumed run may repeat steps that its killed process had already recorded: the last record counts."""
    frame = pd.DataFrame(columns)
    if keys:
        frame = frame.drop_duplicates(keys, keep="last")
    frame = frame.sort_values("step", kind="stable")
    return {name: frame[name].to_numpy() for name in columns}
