"""Columns of `gptexp runs list` that `--measure` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gptexp.measures.catalog import parse_measure
from gptexp.wording import ABSENT


def add_measures(rows: Sequence[dict[str, Any]], measures: Sequence[str], runs_dir: Path) -> None:
    """Give each row what its run says of these measures, None where it can't tell (yet).

    A field that a row has anyway stays what it is.

    Args:
        measures: each `name` or `name@step`.

    Raises:
        GptexpError: there is no such measure, or the step is wrong for it.
    """
    for asked in measures:
        parse_measure(asked)
    lacking = [asked for asked in measures if rows and asked not in rows[0]]
    if not lacking:
        return
    # Only here: a list without measures has to be there at once.
    from gptexp.comparisons.read import read_every_run
    from gptexp.runs.frames import load_frames
    from gptexp.runs.study_runs import select_studies

    studies = select_studies(load_frames(runs_dir))
    for asked in lacking:
        found = read_every_run(studies, asked)
        for row in rows:
            row[asked] = found.get(row["run_id"])


def write_measured(row: dict[str, Any], asked: str) -> str:
    """The cell of a measure in the row of a run; a damaged number is a question mark."""
    value = row[asked]
    if value is None:
        return ABSENT
    return parse_measure(asked)[0].write(value) if isinstance(value, int | float) else "?"
