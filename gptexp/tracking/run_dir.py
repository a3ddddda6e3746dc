"""The run directory: `runs/<run id>/`, the truth about one run.

config.json       the resolved config and what it was resolved against
provenance.jsonl  one line per process that worked on the run
members.jsonl     one line per study that asked for the run
records.jsonl     steps, evaluations, samples, events, in order
checkpoints/      weights and optimizer state
wandb.json        where the run is in W&B, and whether all of it is; only once it was there
result.json       written last, atomically: it says done, for the records whose checksum it names

Lines and objects carry checksums of their own (`gptexp.checksums.seal`), those of older runs excepted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptexp.advice import advise
from gptexp.checksums import SEAL, BrokenSeal, FileSum, seal, unseal
from gptexp.errors import GptexpError
from gptexp.files import (
    CUT_OFF,
    LARGEST_LOG,
    Entry,
    append_bytes,
    disk_errors,
    explain,
    list_folder,
    read_bytes,
    remove_file,
    size_of,
    write_atomic,
)
from gptexp.plain import check_fields, fits, parse_json
from gptexp.records import decode_floats, encode_floats
from gptexp.text import clean_value

RUN_ID = re.compile(r"[0-9a-f]{12}")

MEMBER_TEXT = ("study", "arm", "scale", "definition", "asked_at")
"""Keys of a membership line that have to hold text."""
DONE = ("completed", "diverged")
"""Outcomes that need no further work."""
STOPPED = "stopped"
"""Outcome of a run that was asked for up to a step before its last one, and got there: its config is that of the whole
run, and a checkpoint of that step is there to go on from.

It is an outcome in result.json like `interrupted`, not a file of its own: whoever goes on with the run takes it away
first, so that there is never a result beside records that it doesn't speak of. Unlike `interrupted` it is what was
asked for.
"""


RESULT_TEXTS = ("run_id", "outcome", "outcome_detail", "diverged_where")
"""Fields of a result that are text and stay so, whatever they say: `NaN` in them is no number."""
FINAL_LOSSES = ("final_train_loss", "final_val_loss", "final_val_bpb")
"""Fields of a result that say where a run ended. Of one that was stopped on its way they say where it is, and are not
shown under these names."""
RESULT_NUMBERS = (
    "last_step",
    "final_train_loss",
    "final_val_loss",
    "final_val_bpb",
    "best_val_loss",
    "best_val_step",
    "initial_val_loss",
    "diverged_step",
    "clipped_fraction",
    "max_grad_norm",
    "tokens_seen",
    "duration_s",
    "peak_memory_mib",
)
"""Fields of a result that tables and comparisons show as numbers, in their order."""


@dataclass(frozen=True)
class Result:
    """How a run ended. Losses in nats per token; None where there was nothing to measure."""

    run_id: str
    outcome: str
    """completed, diverged, stopped, interrupted or failed."""
    outcome_detail: str
    last_step: int
    final_train_loss: float | None
    """Mean of the last 10 train losses."""
    final_val_loss: float | None
    final_val_bpb: float | None
    best_val_loss: float | None
    best_val_step: int | None
    initial_val_loss: float | None
    diverged_step: int | None
    diverged_where: str | None
    clipped_fraction: float | None
    max_grad_norm: float | None
    tokens_seen: int
    duration_s: float
    """Seconds of work, summed over all processes that worked on the run."""
    peak_memory_mib: float | None
    finished_at: str
    """ISO 8601, UTC."""
    last_finite_train_loss: float | None = None
    flags: dict[str, dict[str, Any]] = field(default_factory=dict)
    """spiked, plateaued, overfit, each with its numbers; the rules are in `gptexp.training.flags`."""


SUMMED = ("config.json", "members.jsonl", "provenance.jsonl", "records.jsonl")
"""The files that a result builds on: it names their checksums. Members may come later: what was there must stay."""


@dataclass(frozen=True)
class Ending:
    """What result.json holds."""

    result: Result
    sums: dict[str, FileSum] | None
    """Of each file of `SUMMED` as it was then; None in results from before there were any."""


@dataclass(frozen=True)
class MirrorPlace:
    """The W&B run that mirrors a run."""

    entity: str
    project: str
    name: str
    """Its id in W&B: the run id, or what a sweep chose."""
    url: str
    whole: bool = False
    """Whether all of the run is there, as far as its process knew."""


@dataclass(frozen=True)
class RunDir:
    """The files of one run. Nothing is read or written before a method is called."""

    path: Path

    @property
    def within(self) -> Path:
        """The folder of all runs: below it, links are not followed."""
        return self.path.parent

    @property
    def records(self) -> Path:
        return self.path / "records.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def members(self) -> Path:
        return self.path / "members.jsonl"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.jsonl"

    def write_config(self, resolved: dict[str, Any]) -> None:
        """Store what the run id was made from.

        Raises:
            DiskError: it could not be written.
        """
        text = json.dumps(seal(resolved, self.path.name), indent=2, sort_keys=True) + "\n"
        write_atomic(self.path / "config.json", text, self.within)

    def read_config(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
            ValueError: it is damaged; FileNotFoundError: it isn't there.
        """
        try:
            return unseal(read_object(self.path / "config.json", self.within), self.path.name)
        except BrokenSeal as error:
            raise ValueError(f"config.json is damaged: {error}") from None

    def write_result(self, result: Result, records: FileSum | None = None) -> None:
        """Mark the run as ended.

        Args:
            records: of its log, as it was meant; None takes what lies on the disk.

        Raises:
            DiskError: it could not be written.
        """
        with disk_errors(self.path):
            sums = {name: self._sum(name) for name in SUMMED}
        self._write_ending(Ending(result, sums if records is None else {**sums, self.records.name: records}))

    def _write_ending(self, ending: Ending) -> None:
        sums = {name: value.to_json() for name, value in (ending.sums or {}).items()}
        fields = {**encode_floats(clean_value(dataclasses.asdict(ending.result))), **({"sums": sums} if sums else {})}
        text = json.dumps(seal(fields), indent=2, allow_nan=False) + "\n"
        write_atomic(self.path / "result.json", text, self.within)

    def _sum(self, name: str) -> FileSum:
        return FileSum.of(_read_or_nothing(self.path / name, self.within))

    def mend_config(self, resolved: dict[str, Any]) -> bool:
        """Write config.json again where it isn't the one that the run was made with; returns whether that was so.

        Raises:
            ValueError: result.json is damaged.
            DiskError: it could not be written.
        """
        if self.why_other_config() is None:
            return False
        self.write_config(resolved)
        ending = self.read_ending()
        if ending is not None and ending.sums is not None:
            self._write_ending(Ending(ending.result, {**ending.sums, "config.json": self._sum("config.json")}))
        return True

    def read_result(self) -> Result | None:
        """The result, or None while the run is unfinished.

        Raises:
            ValueError: result.json is damaged.
        """
        ending = self.read_ending()
        return ending.result if ending else None

    def read_ending(self) -> Ending | None:
        """The result and what it builds on, or None while the run is unfinished.

        Raises:
            ValueError: result.json is damaged.
        """
        try:
            fields = read_object(self.path / "result.json", self.within)
        except FileNotFoundError:
            return None
        try:
            fields = unseal(fields)
            sums = fields.pop("sums", None)
            if sums is not None:
                if not isinstance(sums, dict) or sums.keys() != set(SUMMED):
                    raise BrokenSeal("it doesn't name the files that it builds on")
                sums = {name: FileSum.parse(value) for name, value in sums.items()}
            decoded = decode_floats(clean_value(fields), text=RESULT_TEXTS)
            check_fields(decoded, Result, "result.json")
            return Ending(Result(**decoded), sums)
        except (TypeError, ValueError) as error:
            reason = str(error).removeprefix("Result.__init__() ").removeprefix("result.json is damaged: ")
            raise ValueError(f"result.json is damaged: {reason}") from None

    def forget_result(self) -> None:
        """The run goes on, so what its last process made of it no longer holds.

        Raises:
            DiskError: the disk refused.
        """
        with disk_errors(self.path):
            remove_file(self.path / "result.json", self.within)

    def write_mirror(self, mirror: MirrorPlace) -> None:
        """Note where the run is mirrored, unless that is what stands there.

        Raises:
            DiskError: it could not be written.
        """
        if self.read_mirror() != mirror:
            write_atomic(
                self.path / "wandb.json",
                json.dumps(seal(dataclasses.asdict(mirror), self.path.name)) + "\n",
                self.within,
            )

    def read_mirror(self) -> MirrorPlace | None:
        """Where the run is mirrored; None where nothing readable says so."""
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
            fields = clean_value(unseal(read_object(self.path / "wandb.json", self.within), self.path.name))
            check_fields(fields, MirrorPlace, "wandb.json")
            return MirrorPlace(**fields)
        return None

    def read_done(self, until_step: int | None = None) -> Result | None:
        """The result of a run that needs no further work; None where there is none.

        Args:
            until_step: the last step that is asked for, so that a run which was stopped there or later needs no work
                either; None asks for the whole run.

        Raises:
            ValueError: result.json is damaged, or speaks of other records than there are.
        """
        ending = self.read_ending()
        if ending is None or not (ending.result.outcome in DONE or got_to(ending.result, until_step)):
            return None
        if (reason := self.why_other(ending, self.records.name)) is not None:
            raise ValueError(reason)
        return ending.result

    def why_other_config(self) -> str | None:
        """Why config.json can't be the one that the run was made with, in a sentence; None where it can.

        Raises:
            ValueError: result.json is damaged.
        """
        ending = self.read_ending()
        if ending is not None and (reason := self.why_other(ending, "config.json")) is not None:
            return reason
        try:
            self.read_config()
        except FileNotFoundError:
            return "config.json is missing"
        except ValueError as error:
            return str(error)
        return None

    def why_other(self, ending: Ending, name: str) -> str | None:
        """Why a file of `SUMMED` is not the one that the result speaks of, in a sentence; None where it is.

        Of a result without checksums the steps of its log are counted: what a killed `runs rm` left is no result.

        Raises:
            OSError: it can't be read.
        """
        data = _read_or_nothing(self.path / name, self.within)
        if ending.sums is None:
            result = ending.result
            return why_fewer_steps(result.outcome, result.last_step, data) if name == self.records.name else None
        expected, is_done = ending.sums[name], ending.result.outcome in DONE
        # Studies go on asking for a run that is done; a process goes on with one that isn't.
        grows = name == self.members.name or (name == self.provenance.name and not is_done)
        reason = expected.why_not_begun(data) if grows else expected.why_other(data)
        return f"{name} is not the one that result.json speaks of: {reason}" if reason else None

    def why_shorter_log(self, ending: Ending) -> str | None:
        """`why_other` of the log, by its size alone: what a list of a thousand runs has time for.

        Raises:
            OSError: it can't be looked at.
        """
        try:
            size = size_of(self.records, self.within)
        except FileNotFoundError:
            size = 0
        expected = ending.sums[self.records.name].n_bytes if ending.sums else None
        if size == expected or (expected is None and (size > 0 or ending.result.last_step == 0)):
            return None
        had = "some" if expected is None else f"{expected:,}"
        return f"records.jsonl is not the one that result.json speaks of: it has {size:,} bytes and had {had}"

    def is_done(self) -> bool:
        """Whether there is a readable result that needs no further work, and all of the records behind it."""
        try:
            return self.read_done() is not None
        except ValueError:
            return False

    def append_member(self, row: dict[str, Any], *, again: bool = False) -> bool:
        """Note that a study asked for this run; returns whether that was new.

        Args:
            again: write the row even when it repeats the last one of its place: the study has been another since.
        """
        row = clean_value(row)
        earlier = self._members_at(row)
        if not again and earlier and {**earlier[-1], "asked_at": None} == {**row, "asked_at": None}:
            return False
        append_line(self.members, row, self.within)
        return True

    def restore_member(self, row: dict[str, Any]) -> None:
        """Note again that a study asked for this run, where no row says so any more.

        Its folder may have been removed between the asking and the training: without a study no table has the run.
        """
        row = clean_value(row)
        if not self._members_at(row):
            append_line(self.members, row, self.within)

    def _members_at(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows that ask for the run from the same place, oldest first."""
        places = ("study", "scale", "variant", "arm", "seed")
        return [old for old in self.read_members() if all(old.get(key) == row.get(key) for key in places)]

    def read_members(self) -> list[dict[str, Any]]:
        """All rows that can be a membership, oldest first."""
        return [row for row in read_lines(self.members, self.within) if is_member(row)]


def got_to(result: Result, until_step: int | None) -> bool:
    """Whether a run was stopped where it was asked to, at `until_step` or later."""
    return until_step is not None and result.outcome == STOPPED and result.last_step >= until_step


def why_fewer_steps(outcome: str, last_step: int, log: bytes) -> str | None:
    """Why a log has fewer steps than its result says, in a sentence; None where it has not."""
    steps = count_steps(log)
    if outcome not in (*DONE, STOPPED) or steps >= last_step:
        return None
    return f"result.json speaks of {last_step} steps, records.jsonl holds {steps}"


def count_steps(log: bytes) -> int:
    """Step records in a log, by the way in which their lines begin."""
    begin = b'{"kind": "step"'
    return log.count(b"\n" + begin) + log.startswith(begin)


def _read_or_nothing(path: Path, within: Path) -> bytes:
    try:
        return read_bytes(path, within, limit=LARGEST_LOG)
    except FileNotFoundError:
        return b""


def list_runs_folder(runs_dir: Path) -> list[Entry]:
    """What the folder of all runs holds; nothing where it is missing. It may be a link itself.

    Raises:
        GptexpError: it is no folder, or may not be listed.
    """
    try:
        return list_folder(runs_dir, runs_dir)
    except OSError as error:
        raise GptexpError(f"the runs folder {runs_dir} can't be listed: {explain(error)}") from None


def find_run(runs_dir: Path, run_id: str) -> RunDir:
    """The run whose id is `run_id` or is the only one that starts with it.

    Raises:
        GptexpError: there is none, or there are several.
    """
    ids = [entry.name for entry in list_runs_folder(runs_dir) if entry.kind == "folder"]
    matches = [name for name in ids if run_id and name.startswith(run_id) and RUN_ID.fullmatch(name)]
    if len(matches) == 1:
        return RunDir(runs_dir / matches[0])
    if matches:
        raise GptexpError(
            f"{run_id!r} fits {len(matches)} runs in {runs_dir}: {', '.join(matches[:5])}; give more digits"
        )
    raise GptexpError(f"there is no run {run_id!r} in {runs_dir}; {advise('gptexp runs list', runs_dir)} shows all")


def is_member(row: dict[str, Any]) -> bool:
    """Whether a line of members.jsonl names a place in a study: everything that sorts and groups runs is of its type.

    What is only shown (label, question, hypothesis) may be missing.
    """
    seed, variant = row.get("seed"), row.get("variant") or {}
    shown = (row.get(key) for key in ("label", "question", "hypothesis"))
    return (
        fits(seed, int)
        and fits(variant, dict[str, Any | list[Any]])
        and all(isinstance(row.get(key), str) for key in MEMBER_TEXT)
        and all(text is None or isinstance(text, str) for text in shown)
    )


def append_line(path: Path, row: dict[str, Any], within: Path | None = None) -> None:
    """Append one JSON object and its checksum as a line, in a single write.

    Raises:
        DiskError: the line could not be written.
    """
    append_bytes(path, (json.dumps(seal(row, path.parent.name), sort_keys=True) + "\n").encode(), within)


def read_lines(path: Path, within: Path | None = None) -> list[dict[str, Any]]:
    """The JSON objects of a file of lines; lines that aren't one are passed over, a missing file is empty."""
    return scan_lines(path, within).rows


@dataclass
class Lines:
    """What a file of lines holds."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """A clause on each line that is none. A torn last one is how a killed process leaves it."""
    unsealed: int = 0
    """Lines from before there were checksums."""


def scan_lines(path: Path, within: Path | None = None) -> Lines:
    """The lines of a file, and what is wrong with it; a missing file is empty."""
    found = Lines()
    try:
        lines = read_bytes(path, within).split(b"\n")
    except FileNotFoundError:
        return found
    except OSError as error:
        return Lines(problems=[f"{path.name} can't be read ({explain(error)})"])
    seen: set[bytes] = set()
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
            if not isinstance(row, dict):
                raise ValueError
            if SEAL in row and line in seen:
                # Each says when it was written, to the microsecond.
                found.problems.append(f"line {number} of {path.name} is there twice")
                continue
            seen.add(line)
            found.rows.append(clean_value(unseal(row, path.parent.name)))
            found.unsealed += SEAL not in row
        except (ValueError, RecursionError) as error:
            if line.strip() and not line.endswith(CUT_OFF):
                reason = "it is no JSON object" if number < len(lines) else "it was cut off"
                reason = str(error) if isinstance(error, BrokenSeal) else reason
                found.problems.append(f"line {number} of {path.name} is damaged: {reason}")
    return found


def read_object(path: Path, within: Path | None = None) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: the file holds something else, or can't be read; FileNotFoundError: it isn't there.
    """
    try:
        value = parse_json(read_bytes(path, within))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path.name} can't be read ({explain(error)})") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path.name} is damaged: not JSON") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is damaged: no object")
    return value
