"""Checks a run folder: every file is complete and unaltered, and no two files contradict each other."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from gptexp.files import DENIED, ForeignFile, exists, explain, list_folder, list_tree
from gptexp.identity import identity_hash
from gptexp.records import Record
from gptexp.tracking.agreement import (
    Disagreement,
    compare_config,
    compare_members,
    compare_provenance,
    compare_result,
    cut_log,
    has_checksums,
)
from gptexp.tracking.lines import read_object, scan_lines
from gptexp.tracking.origin import read_origin
from gptexp.tracking.result import DONE, ENDED_AS_ASKED, STOPPED, SUMMED, Ending
from gptexp.tracking.run_dir import RunDir, format_of
from gptexp.tracking.run_log import parse_records, read_log, type_records
from gptexp.training.checkpoint import DamagedCheckpoint, check_checkpoint, list_checkpoints, read_state, step_of


@dataclass
class Verdict:
    """The result of checking a run folder."""

    problems: list[str] = field(default_factory=list)
    """What is wrong, one clause each."""
    unchecked: list[str] = field(default_factory=list)
    """Files of older versions without a checksum: they agree with the other files, but can't be checked further."""

    @property
    def word(self) -> str:
        """`damaged`, `unreadable` (permission denied), `not checked` or `sound`."""
        if self.problems and all(DENIED in problem for problem in self.problems):
            return "unreadable"
        return "damaged" if self.problems else "not checked" if self.unchecked else "sound"


def verify_run(run_dir: RunDir) -> Verdict:
    """Check a run folder.

    - The run id is the hash of the config.
    - The records contain every step exactly once and give every number of the result.
    - Every file matches its own checksum and the one that result.json stores.
    - Every checkpoint matches its checksum and the records that it was saved with.

    A run that a study asked for but that nobody has begun is sound.
    """
    try:
        verdict = Verdict(_verify_places(run_dir))
        begun = ("config.json", run_dir.records.name, "result.json")
        began = any(exists(run_dir.path / name, run_dir.within) for name in begun)
    except OSError as error:
        return Verdict([f"it can't be listed ({explain(error)})"])
    members = _verify_lines(run_dir, "members.jsonl", verdict)
    if not began:
        return verdict
    content = _verify_config(run_dir, verdict)
    processes = _verify_lines(run_dir, "provenance.jsonl", verdict)
    ending = _verify_result(run_dir, verdict)
    log, record_format = _read_log(run_dir, verdict), format_of(content)
    records = _verify_records(log, record_format, verdict)
    steps = sum(record.kind == "step" for record in records)
    verdict.problems += compare_members(members, content) if content else []
    verdict.problems += compare_config(content, records)
    verdict.problems += compare_provenance(processes, steps, _read_fork_step(content))
    if ending is not None and ending.result.outcome in ENDED_AS_ASKED:
        verdict.problems += compare_result(ending.result, records)
    _verify_checkpoints(run_dir, ending, log, record_format, verdict)
    _verify_mirror(run_dir, verdict)
    return verdict


def _verify_places(run_dir: RunDir) -> list[str]:
    """Links and special files in the run folder. The folder `wandb` is left out: the W&B client makes links in it."""
    entries = [(run_dir.path / entry.name, entry.kind) for entry in list_folder(run_dir.path, run_dir.within)]
    with contextlib.suppress(ForeignFile):
        entries += list_tree(run_dir.checkpoints, run_dir.within)
    strange = [(path, kind) for path, kind in entries if kind in ("link", "other") and path.name != "wandb"]
    words = {"link": "is a link, which is not followed", "other": "is neither a file nor a folder"}
    return [f"{path.relative_to(run_dir.path)} {words[kind]}" for path, kind in strange]


def _verify_lines(run_dir: RunDir, name: str, verdict: Verdict) -> list[dict[str, Any]]:
    found = scan_lines(run_dir.path / name, run_dir.within)
    verdict.problems += found.problems
    if found.unsealed:
        verdict.unchecked.append(name)
    return found.rows


def _verify_config(run_dir: RunDir, verdict: Verdict) -> dict[str, Any]:
    """The content of config.json; empty if it can't be read."""
    try:
        content = run_dir.read_config()
    except FileNotFoundError:
        verdict.problems.append("config.json is missing")
        return {}
    except ValueError as error:
        verdict.problems.append(str(error))
        return {}
    verdict.problems += compare_identity(content, run_dir.path.name)
    return content


def compare_identity(content: dict[str, Any], run_id: str) -> list[str]:
    """One clause if the run id is not the hash of config.json, else an empty list."""
    try:
        checksums = (content["corpus"]["checksum"], content["tokenizer"]["checksum"])
        found = identity_hash(content["config"], content["engine_version"], *checksums)
        origin = read_origin(content)
        found = origin.name_run(found) if origin else found
    except (ValueError, KeyError, TypeError) as error:
        return [f"config.json is damaged: {error}"]
    return [] if found == run_id else [f"config.json was altered: its hash is {found}, the run id is {run_id}"]


def _read_fork_step(content: dict[str, Any]) -> int:
    """The step from which a fork begins; 0 for a run that is none."""
    with contextlib.suppress(ValueError):
        origin = read_origin(content)
        return origin.step if origin else 0
    return 0


def _verify_result(run_dir: RunDir, verdict: Verdict) -> Ending | None:
    try:
        ending = run_dir.read_ending()
        if ending is None:
            return None
        if ending.result.run_id != run_dir.path.name:
            verdict.problems.append(f"result.json belongs to run {str(ending.result.run_id)[:20]}")
        if ending.sums is None:
            verdict.unchecked.append("result.json")
        verdict.problems += [reason for name in SUMMED if (reason := run_dir.why_other(ending, name))]
    except OSError as error:
        verdict.problems.append(f"a file of the run can't be read ({explain(error)})")
        return None
    except ValueError as error:
        verdict.problems.append(str(error))
        return None
    return ending


def _read_log(run_dir: RunDir, verdict: Verdict) -> bytes:
    try:
        return read_log(run_dir.records, run_dir.within)
    except OSError as error:
        verdict.problems.append(f"records.jsonl can't be read ({explain(error)})")
        return b""


def _verify_records(log: bytes, record_format: int, verdict: Verdict) -> list[Record]:
    rows, damaged = parse_records(log, record_format)
    if damaged:
        verdict.problems.append(f"records.jsonl: {len(damaged)} damaged line(s), the first is line {damaged[0]}")
    try:
        records = type_records(rows)
    except (TypeError, ValueError) as error:
        verdict.problems.append(f"records.jsonl holds something that is not a record ({error})")
        return []
    steps = [record.step for record in records if record.kind == "step"]
    if steps != list(range(1, len(steps) + 1)):
        verdict.problems.append("records.jsonl doesn't count every step once, in order")
    return records


def _verify_checkpoints(
    run_dir: RunDir, ending: Ending | None, log: bytes, record_format: int, verdict: Verdict
) -> None:
    paths = list_checkpoints(run_dir.checkpoints)
    is_done = ending is not None and ending.result.outcome in DONE
    for path in paths:
        try:
            state = read_state(path)
        except DamagedCheckpoint as error:
            verdict.problems.append(f"checkpoint {error}")
            continue
        if (reason := check_checkpoint(path)) is not None:
            verdict.problems.append(f"checkpoint {path.name}: {reason}")
        if not has_checksums(state):
            verdict.unchecked.append(path.name)
            if is_done:
                # Older runs may keep a checkpoint whose steps were computed again later; its weights are the same.
                continue
        try:
            cut_log(state, log, record_format)
        except Disagreement as error:
            verdict.problems.append(f"checkpoint {path.name}: {error}")
    if paths and ending is not None and ending.result.outcome in ("completed", STOPPED):
        newest, last = step_of(paths[0]), ending.result.last_step
        if newest != last:
            verdict.problems.append(f"the newest checkpoint is of step {newest}, but the run ended at step {last}")


def _verify_mirror(run_dir: RunDir, verdict: Verdict) -> None:
    try:
        read_object(run_dir.path / "wandb.json", run_dir.within)
    except FileNotFoundError:
        return
    except ValueError as error:
        verdict.problems.append(str(error))
        return
    if run_dir.read_mirror() is None:
        verdict.problems.append("wandb.json is damaged: it names no W&B run")
