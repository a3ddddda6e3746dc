"""Checks that the files of a run folder agree: the checkpoints with the log, the result with the log, and so on.

No file is trusted alone. Each function returns the problems as clauses; None or an empty list means no problem.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gptexp.checksums import FileSum
from gptexp.config import build_config
from gptexp.errors import GptexpError
from gptexp.records import EvalRecord, Record, StepRecord
from gptexp.tracking.result import DONE, Result
from gptexp.tracking.run_log import parse_records, type_records
from gptexp.training.checkpoint import CheckpointState
from gptexp.training.flags import LATER_FLAGS, drop_older, find_flags
from gptexp.training.progress import fold

RECORDS_SUM = "records"
"""Key in a checkpoint's state: the `FileSum` of the log up to this checkpoint."""
OLD_RECORDS_BYTES = "records_bytes"
"""The same key in older checkpoints, which stored only the size in bytes."""

MOST_NAMED = 3
"""How many differing numbers of one result a message shows with both values."""


@dataclass(frozen=True)
class LogPrefix:
    """The part of the log that was written before a checkpoint was saved."""

    n_bytes: int
    records: list[Record]


class Disagreement(Exception):
    """Two files of a run contradict each other; the text is a clause."""


def cut_log(checkpoint: CheckpointState, log: bytes, record_format: int) -> LogPrefix:
    """The part of a record log that a checkpoint was saved with.

    Args:
        log: the whole content of records.jsonl.
        record_format: of its lines (`gptexp.records`).

    Raises:
        Disagreement: the log doesn't match the checkpoint, so resuming from it would give a different run.
    """
    expected, n_bytes = _expected_log(checkpoint)
    if n_bytes > len(log):
        raise Disagreement(f"it goes with {n_bytes:,} bytes of records.jsonl, which has {len(log):,}")
    prefix = log[:n_bytes]
    if prefix and not prefix.endswith(b"\n"):
        raise Disagreement("the records that it goes with end in the middle of a line of records.jsonl")
    if expected is not None and expected.why_other(prefix):
        raise Disagreement("records.jsonl is another than the one that it was saved with")
    rows, damaged = parse_records(prefix, record_format)
    if damaged:
        raise Disagreement(f"line {damaged[0]} of records.jsonl, which it goes with, is damaged")
    try:
        records = type_records(rows)
        steps = [record.step for record in records if isinstance(record, StepRecord)]
        reached = fold(records).step
    except (TypeError, ValueError, OverflowError) as error:
        raise Disagreement(f"records.jsonl holds something that is not a record ({error})") from None
    if steps != list(range(1, checkpoint.step + 1)) or reached != checkpoint.step:
        raise Disagreement(f"the records that it goes with end at step {reached:,}")
    return LogPrefix(n_bytes, records)


def _expected_log(checkpoint: CheckpointState) -> tuple[FileSum | None, int]:
    """Checksum and size in bytes of the log up to this checkpoint. Old checkpoints have no checksum (None)."""
    state = checkpoint.state
    try:
        if RECORDS_SUM in state:
            expected = FileSum.parse(state[RECORDS_SUM])
            return expected, expected.n_bytes
        n_bytes = state[OLD_RECORDS_BYTES]
        if type(n_bytes) is int and n_bytes >= 0:
            return None, n_bytes
    except (ValueError, KeyError):
        pass
    raise Disagreement("it doesn't say which records it goes with")


def has_checksums(checkpoint: CheckpointState) -> bool:
    """Whether a checkpoint stores the checksum of its log; older ones don't."""
    return RECORDS_SUM in checkpoint.state


LATER_RESULT_FIELDS = ("last_finite_train_loss",)


def compare_result(result: Result, records: Sequence[Record]) -> list[str]:
    """The numbers of a result that differ from those computed from its records: one clause each, the first few."""
    flags = find_flags(records, ended=result.outcome in DONE, bigram_loss=result.bigram_loss)
    # Results of older versions have no flags of these kinds.
    flags = {name: numbers for name, numbers in flags.items() if name in result.flags or name not in LATER_FLAGS}
    found = fold(records).totals() | {"flags": flags}
    claimed = {name: getattr(result, name) for name in found} | {"flags": drop_older(result.flags)}
    # Results of older versions have no such field.
    absent = {name for name in LATER_RESULT_FIELDS if claimed[name] is None}
    others = [name for name, value in found.items() if name not in absent and not _is_same(claimed[name], value)]
    problems = [
        f"result.json says {name} {_short(claimed[name])}, records.jsonl gives {_short(found[name])}"
        for name in others[:MOST_NAMED]
    ]
    return problems + ([f"and so on for {', '.join(others[MOST_NAMED:])}"] if others[MOST_NAMED:] else [])


def _is_same(claimed: Any, found: Any) -> bool:
    """Whether two values are equal; NaN equals NaN. Floats may differ by 1e-12, as Python versions sum differently."""
    if isinstance(claimed, dict) and isinstance(found, dict):
        return claimed.keys() == found.keys() and all(_is_same(claimed[key], found[key]) for key in found)
    if isinstance(claimed, bool) or isinstance(found, bool):
        return claimed is found
    if isinstance(claimed, int | float) and isinstance(found, int | float):
        both_nan = math.isnan(claimed) and math.isnan(found)
        return both_nan or claimed == found or math.isclose(claimed, found, rel_tol=1e-12)
    return bool(claimed == found)


def _short(value: Any) -> str:
    return str(value)[:60]


def compare_config(content: dict[str, Any], records: Sequence[Record]) -> list[str]:
    """What in the records contradicts the config, one clause each.

    Args:
        content: config.json.
    """
    try:
        config = build_config(content["config"])
    except (GptexpError, KeyError, TypeError):
        # A damaged config is reported by _verify_config.
        return []
    problems = []
    steps = [record for record in records if isinstance(record, StepRecord)]
    wrong = next((step for step in steps if step.tokens_seen != step.step * config.tokens_per_step), None)
    if wrong is not None:
        expected = wrong.step * config.tokens_per_step
        problems.append(f"records.jsonl counts {wrong.tokens_seen:,} tokens at step {wrong.step}, not {expected:,}")
    if steps and steps[-1].step > config.max_steps:
        problems.append(f"records.jsonl holds step {steps[-1].step:,} of {config.max_steps:,}")
    if steps and not any(isinstance(record, EvalRecord) and record.step == 0 for record in records):
        problems.append("records.jsonl holds no evaluation of the untrained model")
    return problems


def compare_provenance(processes: Sequence[dict[str, Any]], last_step: int, fork_step: int = 0) -> list[str]:
    """What in provenance.jsonl contradicts the records, one clause each.

    Args:
        processes: the lines of provenance.jsonl.
        last_step: the number of step records.
        fork_step: the step of its parent that a fork may begin from; 0 for a run that is none.
    """
    starts: list[Any] = [process.get("from_step") for process in processes]
    if last_step and not starts:
        return ["provenance.jsonl names no process that made the records"]
    for start in starts:
        if type(start) is not int or start < 0:
            return [f"provenance.jsonl says that a process went on from step {_short(start)}"]
    began = [process["started_at"] for process in processes if process.get("started_at")]
    if len(set(map(str, began))) < len(began):
        return ["provenance.jsonl names a process twice"]
    if starts and starts[0] > fork_step:
        return [f"provenance.jsonl begins with a process that went on from step {starts[0]}"]
    return []


def compare_members(rows: Sequence[dict[str, Any]], content: dict[str, Any]) -> list[str]:
    """Memberships whose seed differs from the config's, one clause each."""
    config = content.get("config")
    seed = config.get("seed") if isinstance(config, dict) else None
    seeds = [row.get("seed") for row in rows]
    return [f"members.jsonl asks for seed {_short(one)}, config.json has {seed}" for one in seeds if one != seed]
