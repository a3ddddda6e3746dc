"""Run folders as pandas frames: the one form in which figures, tables and statistics see runs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gptexp.config import RunConfig, why_unfit
from gptexp.measures.catalog import select
from gptexp.processes import ALONE, Processes
from gptexp.records import METRICS
from gptexp.runs.collector import without_collector
from gptexp.runs.flags import find_flags_again
from gptexp.runs.folder import RunFolder
from gptexp.runs.folders import current_members, instance_of, read_run_folders
from gptexp.runs.foretold import tell_when_foretold
from gptexp.runs.logs import OtherLog, RecordFrames
from gptexp.runs.packed import read_packed_logs
from gptexp.text import cut_text, hide_paths, hide_paths_in
from gptexp.tracking.packs import is_packed
from gptexp.tracking.places import publish_corpus
from gptexp.training.flags import describe_flags

IDENTITY_COLUMNS = ["run_id", "engine_version", "outcome", "parent", "fork_step"]
CORPUS_KEYS = {
    "name": "corpus_name",
    "checksum": "corpus_checksum",
    "source": "corpus_source",
    "fallback": "corpus_fallback",
    "train_tokens": "train_tokens",
    "val_tokens": "val_tokens",
    "val_bytes": "val_bytes",
}
RESULT_NUMBERS = select(lambda measure: measure.of_result)
RESULT_TEXT = ["outcome_detail", "diverged_where", "finished_at"]
FLAG_COLUMNS = ["flags", "flag_notes"]
PROVENANCE_COLUMNS = ["started_at", "commit", "hardware", "cores", "torch", "command", "processes"]
MEMBER_COLUMNS = [
    "study",
    "arm",
    "label",
    "scale",
    "seed",
    "variant",
    "instance",
    "run_id",
    "question",
    "hypothesis",
    "predictions",
    "foretold",
    "entered_at",
    "asked_at",
    "detect",
    "order",
]
LOGS_AT_ONCE = 25
"""Record logs that one process reads in turn."""
MOST_DETECTED = 100
"""Nats: more than any difference between losses."""
MOST_OF_LABEL, MOST_OF_TEXT = 1_000, 5_000
"""Characters of a label, and of a question or a reason, that a report shows."""
CONFIG_COLUMNS = list(RunConfig.model_fields)


@dataclass(frozen=True)
class Frames:
    """Everything that a runs folder says. Every frame has its columns even where it has no row.

    Of a path that starts at a root or a home only the last part is there.
    Losses are nats per token, times seconds, memory MiB. Non-finite losses are NaN or infinite, never dropped.
    """

    runs: pd.DataFrame
    """One row per run: run_id, engine_version, outcome, parent and fork_step (of a fork), every config field, the
    corpus (corpus_name, corpus_checksum, corpus_fallback, train_tokens, ...), n_params, every field of the result,
    flags (names, with commas between them) and flag_notes (in words), and the provenance (commit, hardware, command,
    ..., wandb_url)."""
    members: pd.DataFrame
    """One row per (study instance, arm, seed) that counts: which run answers it, also where that
    run has not begun and has no row in `runs`. `instance` is the key `study@scale`, followed by the variant where
    there is one; `order` counts the arms of an instance."""
    steps: pd.DataFrame
    """run_id, step, train_loss, lr, grad_norm (L2, before clipping), clipped, tokens_seen, ..."""
    evals: pd.DataFrame
    """run_id, step, val_loss, val_bpb, val_tokens, whole."""
    samples: pd.DataFrame
    """run_id, step, trigger, threshold, train_loss, prompt, text."""
    events: pd.DataFrame
    """run_id, step, name, detail."""
    metrics: pd.DataFrame
    """run_id, step, kind (step, eval, or final: over the whole val split), name (`update_ratio/blocks.3.ffn`), value:
    a row for each metric of each step and evaluation. Empty where no run recorded any."""
    damaged: pd.DataFrame
    """path (of the run folder, below the runs folder) and reason."""

    def keep_runs(self, run_ids: Collection[str]) -> Frames:
        """The frames of these runs alone. `damaged` stays whole, and arms keep their `order`."""
        frames = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Frames(
            **{
                name: frame[frame["run_id"].isin(list(run_ids))] if "run_id" in frame else frame
                for name, frame in frames.items()
            }
        )


def load_frames(
    runs_dir: Path, run_ids: Collection[str] | None = None, processes: Processes = ALONE, *, whole_logs: bool = False
) -> Frames:
    """Every run (or those in `run_ids`) under `runs_dir`, a folder of run folders or of packed records.

    What can't be read is in `damaged` and stops nothing.

    Args:
        whole_logs: of forks also the records that they share with their parents.

    Raises:
        GptexpError: packed records are damaged.
    """
    folders, damaged = _read_sound_folders(runs_dir, run_ids)
    left_out: set[Path] = set()
    if is_packed(runs_dir):
        logs = read_packed_logs(runs_dir, run_ids)
    else:
        logs = _read_logs(folders, damaged, left_out, processes)
    if not whole_logs:
        logs = _drop_shared(logs, folders)
    return Frames(
        runs=_build_runs([folder for folder in folders if folder.path not in left_out], logs),
        members=_build_members(folders),
        **logs,
        damaged=pd.DataFrame(
            [
                {"path": path.relative_to(runs_dir).as_posix(), "reason": _shorten(reason, MOST_OF_TEXT)}
                for path, reason in damaged
            ],
            columns=["path", "reason"],
        ),
    )


def _drop_shared(logs: dict[str, pd.DataFrame], folders: list[RunFolder]) -> dict[str, pd.DataFrame]:
    """The logs without the records of forks that are their parents' own: a fork's steps begin behind its fork."""
    begins = {folder.run_id: origin.step for folder in folders if (origin := folder.origin)}
    if not begins:
        return logs
    return {
        name: log[log["step"] > log["run_id"].map(begins).astype("float64").fillna(-1)].reset_index(drop=True)
        for name, log in logs.items()
    }


def _read_sound_folders(
    runs_dir: Path, run_ids: Collection[str] | None
) -> tuple[list[RunFolder], list[tuple[Path, str]]]:
    """The run folders whose config is of the types that it should be, and why each other one is left out."""
    folders, damaged = read_run_folders(runs_dir, run_ids)
    sound = []
    for folder in folders:
        reason = why_unfit(folder.fields) if folder.started else None
        if reason is None:
            sound.append(folder)
        else:
            damaged.append((folder.path, f"config.json is damaged: {reason}"))
    return sound, damaged


def _read_logs(
    folders: list[RunFolder], damaged: list[tuple[Path, str]], left_out: set[Path], processes: Processes
) -> dict[str, pd.DataFrame]:
    """The frames of all record logs.

    What is no record in them is added to `damaged`. So is a run whose log has changed since its result was written: no
    number of it can be trusted, and it is added to `left_out` too.
    """
    logs = RecordFrames()
    pieces = [folders[start : start + LOGS_AT_ONCE] for start in range(0, len(folders), LOGS_AT_ONCE)]
    for part, problems, others in processes.map(_read_some_logs, pieces):
        logs.extend(part)
        damaged += problems
        left_out |= others
    kinds = {"steps": "step", "evals": "eval", "samples": "sample", "events": "event"}
    return {**{name: logs.build(kind) for name, kind in kinds.items()}, METRICS: logs.build_metrics()}


def _read_some_logs(folders: list[RunFolder]) -> tuple[RecordFrames, list[tuple[Path, str]], set[Path]]:
    """The logs of some run folders, what is no record in them, and the paths of those runs that are left out."""
    logs, problems, left_out = RecordFrames(), [], set()
    with without_collector():
        for folder in folders:
            try:
                problem = logs.add(folder)
            except OtherLog as error:
                # Told already where its size alone showed it.
                is_told = any(str(error) in one for one in folder.problems)
                problem = None if is_told else f"{error}; the run is left out"
                left_out.add(folder.path)
            if problem:
                problems.append((folder.path, problem))
    return logs, problems, left_out


def name_study_key(study: str, scale: str, variant: str) -> str:
    """`study@scale`, and the variant's assignments behind it where there are any: `lr-ablation@quick n_layer=2`."""
    changes = json.loads(variant)
    extra = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changes.items()]
    return " ".join([f"{study}@{scale}", *extra])


def _build_runs(folders: list[RunFolder], logs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    names = [
        *IDENTITY_COLUMNS,
        *CONFIG_COLUMNS,
        *CORPUS_KEYS.values(),
        "n_params",
        *RESULT_NUMBERS,
        *RESULT_TEXT,
        *FLAG_COLUMNS,
        *PROVENANCE_COLUMNS,
        "wandb_url",
    ]
    flags = find_flags_again(folders, logs)
    rows = [_describe_run(folder, flags[folder.run_id]) for folder in folders if folder.started]
    frame = pd.DataFrame(rows, columns=names, dtype=object)
    for name in [*RESULT_NUMBERS, "train_tokens", "val_tokens", "val_bytes", "n_params"]:
        frame[name] = pd.to_numeric(frame[name], errors="coerce").astype("float64")
    frame["corpus_fallback"] = frame["corpus_fallback"].eq(True)
    return frame


def _describe_run(folder: RunFolder, flags: dict[str, Any]) -> dict[str, Any]:
    corpus = folder.config.get("corpus")
    corpus = publish_corpus(corpus) if isinstance(corpus, dict) else {}
    result = hide_paths_in(folder.result or {})
    config = folder.fields
    return {
        "run_id": folder.run_id,
        "engine_version": folder.config.get("engine_version"),
        "outcome": folder.outcome,
        "parent": folder.origin.parent if folder.origin else None,
        "fork_step": folder.origin.step if folder.origin else None,
        **{name: config.get(name) for name in CONFIG_COLUMNS},
        **{column: corpus.get(key) for key, column in CORPUS_KEYS.items()},
        "n_params": folder.config.get("n_params"),
        **{name: result.get(name) for name in [*RESULT_NUMBERS, *RESULT_TEXT]},
        "bigram_loss": folder.bigram_loss,
        "flags": ",".join(sorted(flags)),
        "flag_notes": describe_flags(flags),
        **_describe_provenance(folder.provenance),
        "wandb_url": folder.wandb_url,
    }


def _describe_provenance(processes: list[dict[str, Any]]) -> dict[str, Any]:
    """Where a run was computed: distinct commits and machines, and the command that started it."""
    commits = [
        f"{str(process['git_commit'])[:10]}{'+changes' if process.get('git_dirty') else ''}"
        for process in processes
        if process.get("git_commit")
    ]
    machines = [str(process.get("gpu") or process.get("cpu") or "unknown") for process in processes]
    first = processes[0] if processes else {}
    return {
        "started_at": first.get("started_at"),
        "commit": ", ".join(dict.fromkeys(commits)) or None,
        "hardware": ", ".join(dict.fromkeys(machines)) or None,
        "cores": first.get("cores"),
        "torch": first.get("torch"),
        "command": hide_paths_in(first.get("command")),
        "processes": len(processes),
    }


def read_detect(value: Any) -> float:
    """The difference that a study is to decide about, nats per token; NaN where nothing sound is said."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value <= MOST_DETECTED else math.nan


def _shorten(value: Any, most: int) -> str:
    """A text of a record as a report shows it: without folders, and not longer than anybody reads."""
    return cut_text(hide_paths(str(value)), most)


def _build_members(folders: list[RunFolder]) -> pd.DataFrame:
    """The memberships that count. Arms keep the order in which their study asked for them."""
    rows: list[dict[str, Any]] = []
    arms: dict[str, list[str]] = {}
    known_folders = {folder.run_id: folder for folder in folders}
    for member in current_members(folders):
        study, scale, variant = instance_of(member)
        study_runs = name_study_key(study, scale, variant)
        known = arms.setdefault(study_runs, [])
        if member["arm"] not in known:
            known.append(member["arm"])
        rows.append(
            {
                **{key: member[key] for key in ("study", "arm", "scale", "seed", "run_id", "asked_at")},
                "label": _shorten(member.get("label") or member["arm"], MOST_OF_LABEL),
                "variant": variant,
                "detect": read_detect(member.get("detect")),
                "instance": study_runs,
                "question": _shorten(member.get("question") or "", MOST_OF_TEXT),
                "hypothesis": _shorten(member.get("hypothesis") or "", MOST_OF_TEXT),
                **tell_when_foretold(known_folders[member["run_id"]], member),
                "order": known.index(member["arm"]),
            }
        )
    frame = pd.DataFrame(rows, columns=MEMBER_COLUMNS)
    return frame.sort_values(["instance", "order", "seed"], kind="stable", ignore_index=True)
