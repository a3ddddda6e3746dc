"""Formats of what recorded runs are."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from gptexp.cli.documents.base import Document, Fields, Number, Part

Outcome = Literal["completed", "diverged", "stopped", "interrupted", "failed", "unfinished"]


class Member(Part):
    """As what a study asked for a run."""

    study: str | None
    arm: str | None
    label: str | None
    """The arm in words."""
    scale: str | None
    seed: int | None
    variant: Fields | None
    """Config fields that the command line changed."""


class AskedMember(Member):
    """The same, with its time."""

    asked_at: str | None
    """ISO 8601, UTC."""


class RunRow(Document):
    """One recorded run. Losses are nats per token; null where there is none (yet)."""

    model_config = ConfigDict(extra="allow")
    commands = ("gptexp runs list",)
    shape = "list"

    format: Literal["gptexp.runs/1"]
    run_id: str
    """The hash of all that decides its numbers. With --measure there is a field of that name, too."""
    study: str | None
    """With arm, label, scale, seed and variant: as what it was asked for, first or by --study."""
    arm: str | None
    label: str | None
    scale: str | None
    seed: int | None
    variant: Fields
    outcome: Outcome
    outcome_detail: str | None
    """The outcome in words."""
    last_step: int | None
    final_train_loss: Number | None
    """Mean of the last 10 steps; null of a run that has steps left or diverged."""
    final_val_loss: Number | None
    """Over the whole val split; null of a run that did not complete."""
    final_val_bpb: Number | None
    """The same as bits per byte."""
    best_val_loss: Number | None
    """The lowest of the periodic evaluations, which read a fixed part of the val split."""
    best_val_step: int | None
    initial_val_loss: Number | None
    """Before the first step, over the same part."""
    diverged_step: int | None
    duration_s: float | None
    """Seconds of work of all its processes."""
    finished_at: str | None
    """ISO 8601, UTC."""
    flags: list[str]
    """spiked, plateaued, overfit and so on."""
    max_steps: int | None
    """Of the config."""
    corpus: str | None
    n_params: int | None
    members: list[Member]
    """All studies that the run serves."""


class Run(Document):
    """All that is recorded of a run, but steps and evaluations before the last ones."""

    commands = ("gptexp runs show ID",)

    format: Literal["gptexp.run/1"]
    run_id: str
    path: str
    outcome: Outcome
    fork: Fields | None
    """parent, step and what the fork changed; null of a run that is none."""
    engine_version: int | None
    n_params: int | None
    config: Fields
    corpus: Fields | None
    tokenizer: Fields | None
    result: Fields | None
    """result.json; null of an unfinished run."""
    members: list[AskedMember]
    provenance: list[Fields]
    """One object for each process that worked on it."""
    wandb_url: str | None
    checkpoints: list[int]
    """Their steps."""
    records: list[Fields]
    """The last ones that are no samples, as many as --records says. gptexp/records.py has their fields."""
    n_records: int
    samples: list[Fields]
    problems: list[str]
    """What is damaged."""


class ComparedRun(Part):
    """One of the two runs."""

    run_id: str
    members: list[AskedMember]


class ComparedResult(Part):
    """A number of both."""

    first: Any
    second: Any
    difference: Number | None
    """The second minus the first."""


class Comparison(Document):
    """Two runs side by side."""

    commands = ("gptexp runs compare ID ID",)

    format: Literal["gptexp.comparison/1"]
    runs: list[ComparedRun]
    config: dict[str, list[Any]]
    """What differs: field -> first and second value."""
    results: dict[str, ComparedResult]
    losses_comparable: bool
    note: str | None
    """Why the losses can't be compared."""


class ExportedRecords(Document):
    """A file with the records of a run. The records themselves are described in gptexp/records.py."""

    commands = ("gptexp runs export ID --format parquet",)

    format: Literal["gptexp.exported-records/1"]
    run_id: str
    file: str
    file_format: Literal["csv", "parquet", "json"]
    n_records: int
    problem: str | None
    """What of the log can't be read."""


class Verification(Document):
    """Whether a run is what its checksums say."""

    commands = ("gptexp runs verify",)
    shape = "list"

    format: Literal["gptexp.verification/1"]
    run_id: str
    verdict: Literal["sound", "damaged", "unreadable", "not checked"]
    """not checked: made before runs had checksums; its files agree."""
    problems: list[str]
    unchecked: list[str]
    """Files without a checksum."""


class FreedFile(Part):
    """One thing that was deleted."""

    run_id: str
    what: str
    n_bytes: int


class Freed(Document):
    """What was deleted, or with --dry-run would be."""

    commands = ("gptexp runs rm ID", "gptexp runs gc")

    format: Literal["gptexp.freed/1"]
    dry_run: bool
    n_bytes: int
    freed: list[FreedFile]
    kept: dict[str, str]
    """Run id -> why not all was deleted that could be."""


class Pack(Document):
    """Records in Parquet files."""

    commands = ("gptexp runs pack --out records",)

    format: Literal["gptexp.pack/1"]
    folder: str
    n_runs: int
    n_steps: int
    n_bytes: int
    run_ids: list[str]


class Sent(Document):
    """What became of a run that W&B was to get."""

    commands = ("gptexp runs sync",)
    shape = "list"

    format: Literal["gptexp.sync/1"]
    run_id: str
    state: Literal["sent", "nothing new", "left out"]
    reason: str
    """Why it was left out; else empty."""
    url: str | None
