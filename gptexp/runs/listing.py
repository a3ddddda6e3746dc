"""The list of runs as plain dicts, for commands that have to answer at once: no pandas, no record log is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gptexp.measures.catalog import select
from gptexp.measures.ends import list_unsaid
from gptexp.runs.collector import without_collector
from gptexp.runs.folder import RunFolder
from gptexp.runs.folders import current_members, read_run_folders


def list_runs(runs_dir: Path, study: str | None = None) -> list[dict[str, Any]]:
    """One dict per run, sorted by study, scale, arm, seed and run id.

    Keys: run_id study arm label scale seed outcome, the final losses (None where the run has no such end), flags
    (names), max_steps, corpus, n_params, and `members`: every (study, arm, label, scale, seed, variant) that the run
    serves.
    study, arm, label and scale are those of the membership that was asked for first, or of the first in `study` where
    that is given; a run that no study asked for has None there.

    Args:
        study: only the runs that serve this study.
    """
    return list_folders(read_run_folders(runs_dir)[0], study)


def list_folders(folders: list[RunFolder], study: str | None = None) -> list[dict[str, Any]]:
    """`list_runs` of folders that are already read."""
    members: dict[str, list[dict[str, Any]]] = {}
    for row in current_members(folders):
        if study is None or row["study"] == study:
            members.setdefault(row["run_id"], []).append(row)
    numbers = select(lambda measure: measure.listed)
    with without_collector():
        listed = [
            _describe_run(folder, members.get(folder.run_id, []), numbers)
            for folder in folders
            if folder.started and (study is None or folder.run_id in members)
        ]
    return sorted(listed, key=_order)


def _describe_run(folder: RunFolder, members: list[dict[str, Any]], numbers: Iterable[str]) -> dict[str, Any]:
    """A run's dict. Args: numbers: what is taken from the result."""
    config = folder.fields
    seed = config.get("seed")
    corpus = folder.config.get("corpus")
    result = folder.result or {}
    first = members[0] if members else {}
    return {
        "run_id": folder.run_id,
        "study": first.get("study"),
        "arm": first.get("arm"),
        "label": first.get("label", first.get("arm")),
        "scale": first.get("scale"),
        "seed": first.get("seed", seed if isinstance(seed, int) else None),
        "variant": first.get("variant") or {},
        "outcome": folder.outcome,
        "outcome_detail": result.get("outcome_detail"),
        **{name: result.get(name) for name in numbers},
        "finished_at": result.get("finished_at"),
        **dict.fromkeys(list_unsaid(folder.outcome, result.get("last_step"), config.get("max_steps"))),
        "flags": sorted(folder.flags),
        "max_steps": config.get("max_steps"),
        "corpus": corpus.get("name") if isinstance(corpus, dict) else None,
        "n_params": folder.config.get("n_params"),
        "members": [
            {key: row.get(key) for key in ("study", "arm", "label", "scale", "seed", "variant")} for row in members
        ],
    }


def _order(run: dict[str, Any]) -> tuple[str, str, str, int, str]:
    return (run["study"] or "", run["scale"] or "", run["arm"] or "", run["seed"] or 0, run["run_id"])
