"""One run folder as plain dicts: no pandas, no torch, and nothing here stops at a damaged folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptexp.checksums import FileSum
from gptexp.files import LARGEST_LOG, exists, explain, read_bytes
from gptexp.measures.ends import has_all_steps
from gptexp.plain import check_fields, fits
from gptexp.text import clean_value, is_clean_json
from gptexp.tracking.members import is_member
from gptexp.tracking.origin import Origin, read_origin
from gptexp.tracking.result import ENDED_AS_ASKED, SUMMED, Ending, Result, why_fewer_steps
from gptexp.tracking.run_dir import HeldRunDir, RunDir, format_of
from gptexp.tracking.run_log import parse_records
from gptexp.training.flags import ABOVE_BIGRAM, KNOWN_BIGRAM_LOSSES, compare_with_bigram
from gptexp.version import LATER_FIELDS

LOG = "records.jsonl"


@dataclass(slots=True)
class RunFolder:
    """What one run folder says, its record log left unread."""

    run_id: str
    path: Path
    config: dict[str, Any]
    """All of config.json; the resolved fields lie under its key `config`."""
    result: dict[str, Any] | None
    """result.json with its floats decoded; None while the run is unfinished."""
    provenance: list[dict[str, Any]]
    """One object per process that worked on the run, oldest first."""
    members: list[dict[str, Any]]
    """Every readable membership line, superseded ones too."""
    problems: list[str] = field(default_factory=list)
    """What could not be read, one clause each."""
    wandb_url: str | None = None
    """The address of its W&B run."""
    log_sum: dict[str, Any] | None = None
    """What the result says of the record log (`gptexp.checksums.FileSum` as JSON); None where it says nothing."""
    started: bool = True
    """False where a study has asked for the run and no process has begun it: there is no config yet."""

    @property
    def fields(self) -> dict[str, Any]:
        """The resolved config; fields that came after the run stand at what it did."""
        return {**LATER_FIELDS, **self.config["config"]}

    @property
    def origin(self) -> Origin | None:
        """Where a fork comes from; None for a run that is none."""
        return read_origin(self.config)

    @property
    def record_format(self) -> int:
        """Of its log (`gptexp.records`)."""
        return format_of(self.config)

    @property
    def outcome(self) -> str:
        return str(self.result["outcome"]) if self.result else "unfinished"

    @property
    def flags(self) -> dict[str, dict[str, Any]]:
        """What the result flags (spiked, overfit, ...), each with its numbers; what a result of an older version would
        flag today as well, as far as it says enough.
        """
        result = self.result or {}
        flags = result.get("flags") or {}
        found = {str(name): numbers for name, numbers in flags.items() if isinstance(numbers, dict)}
        last_step = result.get("last_step") or 0
        if ABOVE_BIGRAM not in found and last_step and last_step >= (self.fields.get("max_steps") or 0):
            ends = compare_with_bigram(result.get("final_val_loss"), self.bigram_loss)
            found |= {ABOVE_BIGRAM: ends} if ends else {}
        return found

    @property
    def lacks_only_its_end(self) -> bool:
        """Whether all steps are done and the last evaluation is not."""
        got_to = (self.result or {}).get("last_step")
        return self.outcome != "completed" and has_all_steps(self.outcome, got_to, self.fields.get("max_steps"))

    @property
    def bigram_loss(self) -> float | None:
        """What a bigram model reaches on the run's val split, in nats per token; None where nobody knows."""
        recorded = (self.result or {}).get("bigram_loss")
        if recorded is not None:
            return float(recorded)
        corpus, tokenizer = (self.config.get(name) or {} for name in ("corpus", "tokenizer"))
        return KNOWN_BIGRAM_LOSSES.get((str(corpus.get("checksum")), str(tokenizer.get("name"))))

    @property
    def started_at(self) -> str:
        """When its first process began, empty where nothing says so."""
        return str(self.provenance[0].get("started_at") or "") if self.provenance else ""


def read_run_folder(path: Path) -> RunFolder:
    """One run folder. A damaged result, provenance or membership becomes a problem of the folder, not an error.

    A folder with neither config nor records belongs to a run that was asked for and hasn't begun.

    Raises:
        ValueError: config.json is missing, damaged or of another run.
    """
    run_dir = HeldRunDir(path)
    lines = run_dir.scan_lines("members.jsonl")
    members = [line for line in lines.rows if is_member(line)]
    try:
        began = run_dir.has("config.json") or exists(run_dir.records, run_dir.within) or run_dir.has("result.json")
    except OSError as error:
        raise ValueError(f"it can't be read ({explain(error)})") from None
    if not began:
        return RunFolder(path.name, path, {"config": {}}, None, [], members, list(lines.problems), started=False)
    try:
        config = run_dir.read_config()
    except FileNotFoundError:
        raise ValueError("config.json is missing") from None
    if not isinstance(config.get("config"), dict):
        raise ValueError("config.json holds no config")
    if config.get("run_id", path.name) != path.name:
        raise ValueError(f"config.json is of run {config['run_id']}")
    problems = list(lines.problems)
    processes = run_dir.scan_lines("provenance.jsonl")
    problems += processes.problems
    ending = _read_ending(run_dir, problems)
    if shorter := run_dir.why_shorter_log(ending) if ending else None:
        problems.append(f"{shorter}; the run counts as unfinished")
    folder = RunFolder(
        run_id=path.name,
        path=path,
        config=config if is_clean_json(run_dir.read("config.json")) else clean_config(config),
        result=dict(vars(ending.result)) if ending and not shorter else None,
        provenance=processes.rows,
        members=members,
        log_sum=ending.sums["records.jsonl"].to_json() if ending and ending.sums else None,
        problems=problems,
        wandb_url=mirror.url if (mirror := run_dir.read_mirror()) else None,
    )
    check_folder(folder)
    return folder


@dataclass
class _Corpus:
    name: str
    checksum: str
    source: str
    fallback: bool
    train_tokens: int
    val_tokens: int
    val_bytes: int


@dataclass
class _Tokenizer:
    name: str
    checksum: str
    vocab_size: int
    vocabulary: str | None


@dataclass
class _Content:
    """config.json."""

    engine_version: int
    record_format: int
    n_params: int
    config: dict[str, Any | list[Any]]
    corpus: dict[str, Any]
    tokenizer: dict[str, Any]


def check_folder(folder: RunFolder) -> None:
    """Whether everything that a folder says is of the type that whoever reads on takes it for.

    Of the config's own fields, that they are plain: `gptexp.runs.frames` knows the type of each, but takes a while
    to import.

    Raises:
        ValueError: something is not.
    """
    check_fields(folder.config, _Content, "config.json")
    read_origin(folder.config)
    check_fields(folder.config.get("corpus", {}), _Corpus, "the corpus in config.json")
    check_fields(folder.config.get("tokenizer", {}), _Tokenizer, "the tokenizer in config.json")
    check_fields(folder.result or {}, Result, "result.json")
    if not fits(folder.provenance, list[dict[str, Any]]):
        raise ValueError("provenance.jsonl is damaged: a line holds more than plain values")


def clean_config(content: dict[str, Any]) -> dict[str, Any]:
    """`content` with its texts cleaned, but for the vocabulary, which may well be of control characters."""
    tokenizer = content.get("tokenizer")
    return {**clean_value(content), **({"tokenizer": tokenizer} if isinstance(tokenizer, dict) else {})}


def read_log(folder: RunFolder) -> tuple[list[dict[str, Any]], str | None]:
    """The records of a run in their order, and a clause where they aren't all that was recorded."""
    try:
        data = read_bytes(folder.path / LOG, folder.path.parent, limit=LARGEST_LOG)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        return [], f"{LOG} can't be read ({explain(error)})"
    records, problem = read_records(data, folder.record_format)
    return records, problem or why_other_log(folder, data)


def read_records(data: bytes, record_format: int) -> tuple[list[dict[str, Any]], str | None]:
    """The records in a log's content, in their order, and a clause about lines that are none, which are left out."""
    records, damaged = parse_records(data, record_format)
    if not damaged:
        return records, None
    return records, f"{LOG}: {len(damaged)} line(s) are no records and left out, the first is line {damaged[0]}"


def why_other_log(folder: RunFolder, data: bytes) -> str | None:
    """Why the content of a run's log can't be what its result sums up, in a sentence; None where it can."""
    if folder.log_sum is not None:
        reason = FileSum.parse(folder.log_sum).why_other(data)
        return f"{LOG} has changed since result.json was written: {reason}" if reason else None
    if folder.result is None:
        return None
    return why_fewer_steps(folder.result["outcome"], folder.result["last_step"], data)


def _read_ending(run_dir: RunDir, problems: list[str]) -> Ending | None:
    """The result, where the files that it builds on are still what they were.

    Raises:
        ValueError: config.json is another.
    """
    try:
        ending = run_dir.read_ending()
        if ending is None:
            return None
        others = {name: run_dir.why_other(ending, name) for name in SUMMED if name != LOG}
    except ValueError as error:
        problems.append(f"{error}; the run counts as unfinished")
        return None
    except OSError as error:
        problems.append(f"a file of it can't be read ({explain(error)}); the run counts as unfinished")
        return None
    if ending.result.outcome not in ENDED_AS_ASKED:
        # Such a run may have gone on since.
        return ending
    if (reason := others.pop("config.json")) is not None:
        raise ValueError(reason)
    problems += filter(None, others.values())
    return ending
