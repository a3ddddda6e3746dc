"""The run directory `runs/<run id>/`, which holds everything that is known about one run.

config.json       the resolved config, and the corpus, tokenizer and engine that belong to it
provenance.jsonl  one line per process that worked on the run
members.jsonl     one line per study that asked for the run
records.jsonl     steps, evaluations, samples, events, in order
checkpoints/      weights and optimizer state
wandb.json        where W&B mirrors the run, and up to which result; only for mirrored runs
result.json       written last, atomically: the run has ended; it names the checksums of the files above

Every JSON object and line carries its own checksum (`gptexp.checksums.seal`), except in runs of older versions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptexp.advice import advise
from gptexp.checksums import BrokenSeal, FileSum, seal, unseal
from gptexp.errors import GptexpError
from gptexp.files import (
    LARGEST_JSON,
    LARGEST_LOG,
    Entry,
    disk_errors,
    explain,
    list_folder,
    read_bytes,
    read_files,
    remove_file,
    size_of,
    write_atomic,
)
from gptexp.plain import check_fields
from gptexp.records import FIRST_FORMAT, FORMAT, decode_floats, encode_floats
from gptexp.text import clean_value
from gptexp.tracking.lines import Lines, append_line, parse_lines, parse_object
from gptexp.tracking.members import is_member
from gptexp.tracking.packs import is_packed
from gptexp.tracking.result import (
    DONE,
    RESULT_TEXTS,
    SUMMED,
    Ending,
    Result,
    got_to,
    why_fewer_steps,
)

RUN_ID = re.compile(r"[0-9a-f]{12}(-at-[0-9]{1,9}-[0-9a-f]{12})?")
"""A hash; of a fork the parent's id, the step and a hash (`gptexp.tracking.origin`)."""
SMALL = ("config.json", "members.jsonl", "provenance.jsonl", "result.json", "wandb.json")
"""The files of a run but its log and checkpoints."""
RECORD_FORMAT = "record_format"
"""Key in config.json."""


@dataclass(frozen=True)
class MirrorPlace:
    """The W&B run that mirrors a run."""

    entity: str
    project: str
    name: str
    """Its id in W&B: the run id, or the id that a sweep chose."""
    url: str
    whole: bool = False
    """Whether the run was uploaded up to its result, as far as its process knew."""
    holds: str | None = None
    """The `finished_at` of that result; None in files of older versions, which don't say."""

    def has_all_of(self, result: Result | None) -> bool:
        """Whether W&B has the run up to `result`: one that went on since then it has in part."""
        return self.whole and (self.holds is None or (result is not None and self.holds == result.finished_at))


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

    def read(self, name: str) -> bytes:
        """The content of one of its files.

        Raises:
            OSError: it is missing (FileNotFoundError), or can't be read.
        """
        return read_bytes(self.path / name, self.within, limit=LARGEST_JSON if name in SMALL else LARGEST_LOG)

    def read_object(self, name: str) -> dict[str, Any]:
        """The JSON object that one of its files holds.

        Raises:
            ValueError: the file holds something else or can't be read; FileNotFoundError: it is missing.
        """
        return parse_object(lambda: self.read(name), name)

    def scan_lines(self, name: str) -> Lines:
        """The objects of one of its JSON lines files and its problems."""
        return parse_lines(lambda: self.read(name), name, self.path.name)

    def write_config(self, resolved: dict[str, Any]) -> None:
        """Store what the run id was made from, and the format of the records: a newer one that stands there stays.

        Raises:
            DiskError: it could not be written.
        """
        content = {**resolved, RECORD_FORMAT: max(FORMAT, self.read_format())}
        text = json.dumps(seal(content, self.path.name), indent=2, sort_keys=True) + "\n"
        write_atomic(self.path / "config.json", text, self.within)

    def read_config(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
            ValueError: it is damaged; FileNotFoundError: it is missing.
        """
        try:
            return unseal(self.read_object("config.json"), self.path.name)
        except BrokenSeal as error:
            raise ValueError(f"config.json is damaged: {error}") from None

    def read_format(self) -> int:
        """The format of the records (`gptexp.records`); ours where no config.json can be read."""
        try:
            return format_of(self.read_config())
        except (ValueError, FileNotFoundError):
            return FORMAT

    def write_result(self, result: Result, records: FileSum | None = None) -> None:
        """Write result.json, which marks the run as ended.

        Args:
            records: checksum of the log as it was written; None computes it from the file on disk.

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
        return FileSum.of(self._read_or_nothing(name))

    def _read_or_nothing(self, name: str) -> bytes:
        try:
            return self.read(name)
        except FileNotFoundError:
            return b""

    def mend_config(self, resolved: dict[str, Any]) -> bool:
        """Write config.json again if it is not the one that the run was made with.

        Returns:
            Whether it was written.

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
        """The result; None if the run has not ended.

        Raises:
            ValueError: result.json is damaged.
        """
        ending = self.read_ending()
        return ending.result if ending else None

    def read_sound_result(self) -> Result | None:
        """The result; None if the run has not ended, or its result is damaged."""
        with contextlib.suppress(ValueError):
            return self.read_result()
        return None

    def read_ending(self) -> Ending | None:
        """The result with the checksums of the files it builds on; None if the run has not ended.

        Raises:
            ValueError: result.json is damaged.
        """
        try:
            fields = self.read_object("result.json")
        except FileNotFoundError:
            return None
        try:
            fields = unseal(fields)
            sums = fields.pop("sums", None)
            if sums is not None:
                if not isinstance(sums, dict) or sums.keys() != set(SUMMED):
                    raise BrokenSeal("it doesn't list the checksums of the run's files")
                sums = {name: FileSum.parse(value) for name, value in sums.items()}
            decoded = decode_floats(clean_value(fields), text=RESULT_TEXTS)
            check_fields(decoded, Result, "result.json")
            return Ending(Result(**decoded), sums)
        except (TypeError, ValueError) as error:
            reason = str(error).removeprefix("Result.__init__() ").removeprefix("result.json is damaged: ")
            raise ValueError(f"result.json is damaged: {reason}") from None

    def forget_result(self) -> None:
        """Delete result.json because the run is resumed.

        Raises:
            DiskError: it can't be deleted.
        """
        with disk_errors(self.path):
            remove_file(self.path / "result.json", self.within)

    def write_mirror(self, mirror: MirrorPlace) -> None:
        """Write wandb.json, unless it already says the same.

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
        """Where the run is mirrored; None if wandb.json is missing or damaged."""
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
            fields = clean_value(unseal(self.read_object("wandb.json"), self.path.name))
            check_fields(fields, MirrorPlace, "wandb.json")
            return MirrorPlace(**fields)
        return None

    def read_done(self, until_step: int | None = None) -> Result | None:
        """The result of a run that needs no further work; None if the run needs more.

        Args:
            until_step: the last requested step: a run that was stopped there or later needs no more work. None requests
                the whole run.

        Raises:
            ValueError: result.json is damaged, or doesn't match records.jsonl.
        """
        ending = self.read_ending()
        if ending is None or not (ending.result.outcome in DONE or got_to(ending.result, until_step)):
            return None
        if (reason := self.why_other(ending, self.records.name)) is not None:
            raise ValueError(reason)
        return ending.result

    def why_other_config(self) -> str | None:
        """A sentence if config.json is not the one that the run was made with; None if it may be.

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
        """A sentence if a file of `SUMMED` has changed since the result was written; None if it has not.

        For results without checksums only the number of steps in the log is compared, because a killed `runs rm` may
        have left a result without its log.

        Raises:
            OSError: the file can't be read.
        """
        data = self._read_or_nothing(name)
        if ending.sums is None:
            result = ending.result
            return why_fewer_steps(result.outcome, result.last_step, data) if name == "records.jsonl" else None
        expected, is_done = ending.sums[name], ending.result.outcome in DONE
        # Studies append memberships to finished runs; processes append provenance to unfinished ones.
        grows = name == "members.jsonl" or (name == "provenance.jsonl" and not is_done)
        reason = expected.why_not_begun(data) if grows else expected.why_other(data)
        return f"{name} has changed since result.json was written: {reason}" if reason else None

    def why_shorter_log(self, ending: Ending) -> str | None:
        """`why_other` of the log by its size alone, fast enough for a list of a thousand runs.

        Raises:
            OSError: the size can't be read.
        """
        try:
            size = size_of(self.records, self.within)
        except FileNotFoundError:
            size = 0
        expected = ending.sums["records.jsonl"].n_bytes if ending.sums else None
        if size == expected or (expected is None and (size > 0 or ending.result.last_step == 0)):
            return None
        had = "some" if expected is None else f"{expected:,}"
        return f"records.jsonl has changed since result.json was written: it has {size:,} bytes and had {had}"

    def is_done(self) -> bool:
        """Whether the run needs no further work: its result is readable and matches records.jsonl."""
        try:
            return self.read_done() is not None
        except ValueError:
            return False

    def append_member(self, row: dict[str, Any], *, again: bool = False) -> bool:
        """Record that a study asked for this run.

        Args:
            again: write the row even if it equals the last one of the same study, scale, variant, arm and seed, because
                the study's definition was a different one in between.

        Returns:
            Whether the row was written.
        """
        row = clean_value(row)
        earlier = self._members_at(row)
        if not again and earlier and {**earlier[-1], "asked_at": None} == {**row, "asked_at": None}:
            return False
        append_line(self.members, row, self.within)
        return True

    def restore_member(self, row: dict[str, Any]) -> None:
        """Record again that a study asked for this run, if no row says so any more.

        The run folder may have been removed between planning and training. A run without a study is in no table.
        """
        row = clean_value(row)
        if not self._members_at(row):
            append_line(self.members, row, self.within)

    def _members_at(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows with the same study, scale, variant, arm and seed as `row`, oldest first."""
        places = ("study", "scale", "variant", "arm", "seed")
        return [old for old in self.read_members() if all(old.get(key) == row.get(key) for key in places)]

    def read_members(self) -> list[dict[str, Any]]:
        """All valid memberships, oldest first."""
        return [row for row in self.scan_lines(self.members.name).rows if is_member(row)]


def format_of(content: Mapping[str, Any]) -> int:
    """The format of a run's records (`gptexp.records`).

    Args:
        content: config.json.
    """
    declared = content.get(RECORD_FORMAT, FIRST_FORMAT)
    return declared if type(declared) is int else FORMAT


@dataclass(frozen=True)
class HeldRunDir(RunDir):
    """A run directory whose small files are read once, when it is made: for whoever asks several things of them."""

    _held: dict[str, bytes | OSError] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_held", read_files(self.path, SMALL, self.within))

    def has(self, name: str) -> bool:
        """Whether one of the small files is there, readable or not."""
        return not isinstance(self._held[name], FileNotFoundError)

    def read(self, name: str) -> bytes:
        content = self._held[name] if name in self._held else super().read(name)
        if isinstance(content, OSError):
            raise content
        return content


def list_runs_folder(runs_dir: Path) -> list[Entry]:
    """The entries of the folder of all runs; empty if it is missing. The folder itself may be a link.

    Raises:
        GptexpError: it is not a folder, or can't be listed.
    """
    try:
        return list_folder(runs_dir, runs_dir)
    except OSError as error:
        raise GptexpError(f"the runs folder {runs_dir} can't be listed: {explain(error)}") from None


def find_run(runs_dir: Path, run_id: str) -> RunDir:
    """The run whose id is `run_id`, or the only run whose id starts with it.

    Raises:
        GptexpError: there is none, or there are several.
    """
    ids = [entry.name for entry in list_runs_folder(runs_dir) if entry.kind == "folder"]
    # The id of a parent is the beginning of the ids of its forks.
    matches = [name for name in ids if run_id and name.startswith(run_id) and RUN_ID.fullmatch(name)]
    matches = [name for name in matches if name.count("-") == min(one.count("-") for one in matches)]
    if len(matches) == 1:
        return RunDir(runs_dir / matches[0])
    if matches:
        raise GptexpError(
            f"{run_id!r} fits {len(matches)} runs in {runs_dir}: {', '.join(matches[:5])}; give more digits"
        )
    if is_packed(runs_dir):
        raise GptexpError(
            f"{runs_dir} holds packed records, without the folder of run {run_id!r}; name the folder that it was "
            f"trained in with --runs-dir, or see {advise('gptexp runs list', runs_dir)} for what is packed of it"
        )
    raise GptexpError(f"there is no run {run_id!r} in {runs_dir}; {advise('gptexp runs list', runs_dir)} shows all")
