"""A run folder as what W&B keeps, and back: the one place that knows the names of the mirror's metrics.

A row holds one record. Every row has our `step`; the other keys tell what kind of record it is. What is None is left
out. A metric of a record stands under its own name, which the slash in it tells from a field. W&B gives numbers back as
JSON does in Go: 3.0 returns as 3, and what is not finite as the strings NaN, Infinity and -Infinity.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gptexp.mirrors.wandb_limits import VALUE, fit_text
from gptexp.records import (
    DEFAULTS,
    FIELDS_OF_KIND,
    METRIC_NAME,
    METRICS,
    TEXT_FIELDS,
    Record,
    decode_floats,
    encode_floats,
)
from gptexp.text import hide_paths_in
from gptexp.tracking.lines import read_lines
from gptexp.tracking.places import publish_config, publish_member
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir

PREFIXES = {"step": "", "eval": "", "final": "final_", "sample": "sample_", "event": "event_"}
"""What stands before the names of a record's fields in its row. `final` is the evaluation of the whole val split."""
MARKS = {
    "final_val_tokens": "final",
    "val_tokens": "eval",
    "lr": "step",
    "sample_trigger": "sample",
    "event_name": "event",
}
"""The metric by which a row is told to be of a kind: one that is always there and always finite."""

FILES = {"config": "config.json", "members": "members.jsonl", "provenance": "provenance.jsonl"}
"""The files of a run folder that are mirrored, by the names that they have in the W&B config."""


def copy_files(run_dir: Path) -> dict[str, str]:
    """The texts of those files: of each only the JSON objects in it, so that nothing else can leave with them.

    Of paths only the last part leaves. A file that isn't there, or can't be read, is an empty one.
    """
    run = RunDir(run_dir)
    try:
        config = json.dumps(publish_config(run.read_config()), indent=2, sort_keys=True) + "\n"
    except (ValueError, FileNotFoundError):
        config = ""
    members = [publish_member(member) for member in run.read_members()]
    rows = {"members": members, "provenance": hide_paths_in(read_lines(run.provenance, run.within))}
    texts = {name: "".join(json.dumps(row, sort_keys=True) + "\n" for row in found) for name, found in rows.items()}
    return {"config": config, **texts}


def copy_result(result: Result) -> str:
    """The text of result.json."""
    return json.dumps(hide_paths_in(encode_floats(dataclasses.asdict(result))), allow_nan=False)


def make_row(record: Record) -> dict[str, Any]:
    """The metrics of a record."""
    fields = dataclasses.asdict(record)
    kind = "final" if fields.pop("whole", False) else record.kind
    fields |= fields.pop(METRICS, {})
    row = {f"{PREFIXES[kind]}{name}": value for name, value in fields.items() if name != "step" and value is not None}
    texts = {name: fit_text(value, VALUE) for name, value in row.items() if isinstance(value, str)}
    return {"step": record.step, **row, **texts}


def read_row(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of a row, as `decode_record` gives those of a run folder; None where it holds no record of ours."""
    kind = next((kind for mark, kind in MARKS.items() if row.get(mark) is not None), None)
    step = row.get("step")
    if kind is None or type(step) is not int:
        return None
    record_kind = "eval" if kind == "final" else kind
    names = sorted(FIELDS_OF_KIND[record_kind].keys() - {"kind", "step", "whole", METRICS})
    defaults = DEFAULTS[record_kind]
    values = {name: row.get(f"{PREFIXES[kind]}{name}", defaults.get(name)) for name in names}
    if record_kind == "eval":
        values["whole"] = kind == "final"
    if METRICS in defaults:
        values[METRICS] = _read_metrics(row, PREFIXES[kind])
    return {"kind": record_kind, "step": step, **decode_floats(values, text=TEXT_FIELDS)}


def _read_metrics(row: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """The metrics of a row."""
    found = {key.removeprefix(prefix): decode_floats(row[key]) for key in row if METRIC_NAME.fullmatch(key)}
    return {name: float(value) for name, value in found.items() if type(value) in (int, float)}


def read_rows(rows: Iterable[Mapping[str, Any]], earlier: Iterable[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """The records of a whole history, oldest first, each once.

    A run that was killed and resumed goes on from its last checkpoint, so its history steps back. What had been
    recorded from there on was computed again, and the run folder has cut it off; so it is here: the newest row for
    each of our steps counts.

    Args:
        earlier: the records of the rows before these.
    """
    kept = list(earlier)
    for record in filter(None, map(read_row, rows)):
        del kept[_find_cut(kept, record) :]
        kept.append(record)
    return kept


def _find_cut(kept: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> int:
    """From where on `kept` is done again, `record` being its first record; its length where nothing is."""
    cut = place = len(kept)
    while place and kept[place - 1]["step"] >= record["step"]:
        place -= 1
        if _replaces(record, kept[place]):
            cut = place
    return cut


def _replaces(record: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    """Whether a record shows that an `earlier` one, of the same step or a later one, comes again."""
    if _name_place(earlier) == _name_place(record):
        return True
    # What a process records first when it goes on: the note of an outlier batch, a step, or the evaluation of step 0.
    if (record["kind"], record.get("name")) == ("event", "outlier-batch"):
        return True
    return record["kind"] in ("step", "eval") and bool(earlier["step"] > record["step"])


def _name_place(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a run records only once at each step."""
    return tuple(record.get(name) for name in ("kind", "step", "whole", "trigger", "threshold", "name"))
