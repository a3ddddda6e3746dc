"""The metrics of all records as one long frame: a row for each number, so that nobody has to know the names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from gptexp.records import METRIC_NAME

METRIC_COLUMNS = {"run_id": "str", "step": "int64", "kind": "str", "name": "str", "value": "float64"}
"""And their types. `kind` is step, eval or final: the evaluation of the whole val split."""
ORDER = {"step": 0, "eval": 1, "final": 2}
"""Of the metrics of one step."""

MetricRow = tuple[int, str, str, float]
"""step, kind, name and value."""


def name_kind(kind: str, whole: bool) -> str:
    """The kind of a record as the frame has it."""
    return "final" if whole else kind


def make_frame(run_id: str, rows: Iterable[MetricRow]) -> pd.DataFrame:
    """The metrics of one run by step, kind and name."""
    ordered = sorted(rows, key=lambda row: (row[0], ORDER[row[1]], row[2]))
    columns = zip(METRIC_COLUMNS, zip(*((run_id, *row) for row in ordered), strict=True), strict=True)
    return pd.DataFrame({name: pd.Series(values, dtype=METRIC_COLUMNS[name]) for name, values in columns})


def join_frames(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The frames of several runs as one; it has its columns even where there is none."""
    if frames:
        return pd.concat(frames, ignore_index=True)
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in METRIC_COLUMNS.items()})


def check_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame that comes from a file, with its own columns alone.

    Raises:
        ValueError: it is no frame of metrics; or KeyError: it lacks a column.
    """
    frame = frame[list(METRIC_COLUMNS)]
    others = [name for name, kind in METRIC_COLUMNS.items() if frame[name].dtype != kind]
    if others:
        raise ValueError(f"its column {others[0]} holds {frame[others[0]].dtype}")
    strange = [name for name in frame["name"].unique() if not METRIC_NAME.fullmatch(str(name))]
    strange += [kind for kind in frame["kind"].unique() if kind not in ORDER]
    if strange:
        raise ValueError(f"{str(strange[0])[:80]!r} names no metric")
    return frame
