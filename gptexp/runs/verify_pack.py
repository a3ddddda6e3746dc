"""Whether packed records are what was packed, and agree with each other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gptexp.errors import GptexpError
from gptexp.records import FIELDS_OF_KIND, METRICS
from gptexp.runs.folder import RunFolder, check_folder
from gptexp.runs.logs import RECORD_COLUMNS
from gptexp.runs.pack_files import RUNS, open_pack
from gptexp.runs.packed import read_loaders, read_packed, read_packed_logs
from gptexp.tracking.agreement import compare_config, compare_members, compare_result
from gptexp.tracking.result import ENDED_AS_ASKED, Result
from gptexp.tracking.run_log import type_records
from gptexp.tracking.verify import Verdict, compare_identity

ORDER = {"step": 0, "eval": 1, "sample": 2, "event": 3}
"""Of records of one step."""


def verify_pack(path: Path) -> dict[str, Verdict]:
    """Examine a pack: a verdict by run id, or under `runs.json` where the pack itself can't be used.

    Every file must have the checksum that `runs.json` names, and that its own; of each run the id must be the hash of
    the config, and the records must give every number of the result.
    """
    try:
        unchecked = [] if open_pack(path).has_checksums else [RUNS]
        folders, logs = read_packed(path), read_packed_logs(path)
        read_loaders(path)
    except GptexpError as error:
        return {RUNS: Verdict([str(error)])}
    records = _list_records(logs)
    found = {
        folder.run_id: Verdict(_verify_run(folder, records.pop(folder.run_id, [])), list(unchecked))
        for folder in folders
    }
    for run_id in _find_stray_metrics(logs):
        found.setdefault(run_id, Verdict()).problems.append("there are metrics of steps that its records don't have")
    for run_id in records:
        found[str(run_id)] = Verdict([f"there are records of it, and {RUNS} doesn't speak of it"])
    return found


def _verify_run(folder: RunFolder, rows: list[dict[str, Any]]) -> list[str]:
    try:
        check_folder(folder)
        records = type_records(rows)
    except ValueError as error:
        return [str(error)]
    steps = [record.step for record in records if record.kind == "step"]
    problems = [] if steps == list(range(1, len(steps) + 1)) else ["its records don't count every step once"]
    if not folder.started:
        return problems
    problems += compare_identity(folder.config, folder.run_id)
    problems += compare_members(folder.members, folder.config) + compare_config(folder.config, records)
    if folder.result is not None and folder.outcome in ENDED_AS_ASKED:
        problems += compare_result(Result(**folder.result), records)
    return [problem.replace("records.jsonl", "the log") for problem in problems]


def _list_records(logs: dict[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """The records of each run as dicts with their `kind`, in the order of a log."""
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, names in RECORD_COLUMNS.items():
        log, types = logs[f"{kind}s"], FIELDS_OF_KIND[kind]
        columns = {name: [_as_recorded(value, types[name]) for value in log[name]] for name in names}
        ids = log["run_id"].tolist()
        for run_id, values in zip(ids, zip(*columns.values(), strict=True), strict=True):
            found.setdefault(str(run_id), []).append({"kind": kind, **dict(zip(columns, values, strict=True))})
    for rows in found.values():
        rows.sort(key=lambda row: (row["step"], ORDER[row["kind"]]))
    return found


def _find_stray_metrics(logs: dict[str, pd.DataFrame]) -> set[str]:
    """The runs that have metrics of a step or an evaluation which isn't recorded."""
    steps, evals = logs["steps"], logs["evals"]
    kinds = evals["whole"].map({True: "final", False: "eval"})
    recorded = pd.concat([steps[["run_id", "step"]].assign(kind="step"), evals[["run_id", "step"]].assign(kind=kinds)])
    known = pd.MultiIndex.from_frame(recorded)
    strays = ~pd.MultiIndex.from_frame(logs[METRICS][["run_id", "step", "kind"]]).isin(known)
    return set(logs[METRICS].loc[strays, "run_id"])


def _as_recorded(value: Any, declared: str) -> Any:
    """A cell as its record had it: frames hold all numbers as floats, and none where there is none as not a number."""
    if isinstance(value, float):
        if declared.endswith("None") and math.isnan(value):
            return None
        return int(value) if declared == "int" and value.is_integer() else float(value)
    return value.item() if isinstance(value, np.generic) else value
