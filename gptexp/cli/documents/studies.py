"""Formats of what studies are, plan, and come to."""

from __future__ import annotations

from typing import Any, Literal

from gptexp.cli.documents.base import Document, Fields, Number, Part


class ArmRow(Part):
    """An arm of a study."""

    name: str
    label: str
    settings: Fields
    """Config fields that set it apart."""


class StudyFields(Document):
    """What both formats of studies have."""

    name: str
    file: str
    was_run: bool
    """Whether the file was executed to read it."""
    question: str | None
    hypothesis: str | None
    source: str | None
    seeds: int | None
    settings: Fields | None
    """Config fields of all arms."""
    scale_settings: dict[str, Fields] | None
    arms: list[ArmRow] | None
    command: str | None
    error: str | None
    """Why the file doesn't load."""


class StudyRow(StudyFields):
    """A study file. What a file of the working directory doesn't state as plain data is null: it is not executed."""

    commands = ("gptexp studies",)
    shape = "list"

    format: Literal["gptexp.studies/1"]


class StudyDocument(StudyFields):
    """One study, its file executed."""

    commands = ("gptexp studies lr-ablation",)

    format: Literal["gptexp.study/1"]
    header: str
    """The text at the top of its file."""


class FieldRow(Document):
    """A config field, for --set and gptexp train."""

    commands = ("gptexp studies --fields",)
    shape = "list"

    format: Literal["gptexp.fields/1"]
    field: str
    type: str
    default: Any
    meaning: str


class Seconds(Part):
    """What a run's time goes into."""

    start_up: float
    steps: float
    evaluations: float
    samples: float
    final_evaluation: float


class PlanRow(Document):
    """A run that a command would train, or find done."""

    commands = (
        "gptexp plan lr-ablation",
        "gptexp run lr-ablation --dry-run",
        "gptexp train lr=1e-3 --dry-run",
        "gptexp fork ID --at-step 500 --dry-run",
    )
    shape = "list"

    format: Literal["gptexp.plan/1"]
    run_id: str
    study: str
    study_file: str | None
    arm: str
    seed: int
    scale: str
    status: str
    """new, resumable, done and so on."""
    why: str
    """The status in words; empty where it needs none."""
    from_step: int
    max_steps: int
    until_step: int
    """Where it stops now: max_steps, or what --until-step says."""
    tokens: int
    """That the whole run reads."""
    epochs: float
    """Passes over the train split."""
    n_params: int
    memory_mib: float
    seconds: float
    """Estimated time of what is left."""
    seconds_by_part: Seconds
    device_hours: float
    """GPU hours, or core hours where there is no GPU."""
    price: float | None
    """By --price-per-hour."""
    corpus: str
    corpus_checksum: str
    corpus_fallback: bool
    """Whether this corpus stands in for one that can't be had."""
    device: str
    precision: str
    threads: int
    notes: list[str]
    """What the study's plan is to be read with."""


class TrainedRun(Part):
    """A run and how it ended. Losses are nats per token; null where there is none."""

    run_id: str
    study: str
    arm: str
    label: str
    seed: int
    scale: str
    status_before: str
    """As the plan had it: new, resumable, done and so on."""
    max_steps: int
    outcome: str | None
    """completed, diverged, stopped, interrupted or failed; null of a run that never began."""
    outcome_detail: str | None
    last_step: int | None
    final_train_loss: Number | None
    """Mean of the last 10 steps; null of a run that has steps left or diverged."""
    final_val_loss: Number | None
    """Over the whole val split; null of a run that did not complete."""
    final_val_bpb: Number | None
    best_val_loss: Number | None
    best_val_step: int | None
    initial_val_loss: Number | None
    diverged_step: int | None
    clipped_fraction: Number | None
    """Share of the steps whose gradient was clipped."""
    tokens_seen: int | None
    duration_s: float | None
    flags: list[str]


class DifferenceRow(Part):
    """A paired difference in final val loss, nats per token."""

    kind: Literal["arm", "main effect", "interaction"]
    what: str
    against: str
    difference: float | None
    """Mean of the pairs, `what` minus `against`."""
    low: float | None
    """95% interval; null under two pairs."""
    high: float | None
    n_pairs: int
    lost: int
    """Seeds that did not complete on both sides."""
    p_value: float | None
    """Exact test of sign flips."""
    smallest_p: float | None
    """The least that so many pairs can give."""
    smallest_detectable: float | None
    """The true difference that so many pairs would find four times in five."""
    holm_p: float | None
    """Of the t-test, by Holm over all rows."""
    word: str
    """lower, higher, not told apart, points lower, points higher, no pair, the effects differ, too few pairs."""


class StudyResult(Part):
    """What the runs of a study show together."""

    study: str
    instance: str
    """Study, scale and overrides: the key by which reports and claims name it."""
    cannot_show: list[str]
    """What makes the study show less than it seems to. Read this first."""
    differences: list[DifferenceRow]
    """Empty with --until-decided, whose decisions hold instead."""


class Training(Document):
    """What a command trained, and what it comes to. An exit status of 0: all runs have a result."""

    commands = ("gptexp run lr-ablation", "gptexp train lr=1e-3", "gptexp fork ID --at-step 500")

    format: Literal["gptexp.training/1"]
    exit_status: int
    runs: list[TrainedRun]
    studies: list[StudyResult]
    """Of `gptexp run`; else empty."""
    page: str | None
    """The report, where one was written."""


class StandingRow(Part):
    """Where one comparison stands."""

    study: str
    arm: str
    reference: str
    what: str
    against: str
    n_pairs: int
    lost: int
    mean: float | None
    low: float | None
    """An interval that holds however often one looks; null while the pairs bound nothing."""
    high: float | None
    word: str
    """lower, higher, closer (than `detect`), undecided, or broken off."""


class Decisions(Document):
    """Where the comparisons stand after a round of seeds. The last line is the result."""

    commands = ("gptexp run lr-ablation --until-decided --detect 0.02",)
    shape = "lines"

    format: Literal["gptexp.decisions/1"]
    seeds: int
    """So far, of each undecided arm."""
    max_seeds: int
    detect: float
    """A difference under this is none, nats per token."""
    comparisons: list[StandingRow]


class PowerRow(Document):
    """How many paired seeds a comparison takes. Null: more than 1,000."""

    commands = ("gptexp power lr-ablation --detect 0.02",)
    shape = "list"

    format: Literal["gptexp.power/1"]
    study: str
    """The study instance."""
    detect: float
    what: str
    against: str
    n_pairs: int
    """That the scatter comes from."""
    deviation: float
    """Standard deviation of the paired differences, nats per token."""
    seeds: int | None
    seeds_at_bound: int | None
    """Where the scatter is as large as it may well be."""
    seeds_until_decided: float | None
    """Mean of a study that looks after every seed."""


class PlannedTrial(Part):
    """A point of a grid."""

    label: str
    seed: int
    run_id: str
    status: str


class SweepPlan(Document):
    """What a sweep would search."""

    commands = ("gptexp sweep sweep.yaml --dry-run",)

    format: Literal["gptexp.sweep-plan/1"]
    sweep: str
    method: str
    metric: str
    goal: str
    scale: str
    n_trials: int
    n_points: int | None
    """Null where there is no end of them."""
    parameters: dict[str, str]
    """Name -> what is drawn."""
    fixed: Fields
    notes: list[str]
    workers: int
    """Trials at once."""
    seconds_a_trial: float
    """Estimated; 0 where all is done."""
    trials: list[PlannedTrial]
    """Of a grid, its first ones; else empty."""


class Trial(Part):
    """A trial of a sweep."""

    rank: int | None
    trial: int
    outcome: str
    value: Number | None
    """The sweep's metric."""
    settings: Fields
    run_id: str | None
    detail: str | None
    last_step: int | None
    duration_s: float | None


class Point(Part):
    """The trials of one point, where seeds are searched too."""

    rank: int | None
    point: str
    mean: Number | None
    low: float | None
    high: float | None
    seeds: int
    lost: int
    against_best: str
    """Whether it is worse than the best, or can't be told from it."""


class Sweep(Document):
    """A sweep's ranking."""

    commands = ("gptexp sweep sweep.yaml",)

    format: Literal["gptexp.sweep/1"]
    sweep: str
    method: str
    metric: str
    goal: str
    n_trials: int
    trials: list[Trial]
    """Best first."""
    points: list[Point] | None
    """With --seeds; else null."""
    importance: dict[str, float] | None
    """Parameter -> its share."""
    importance_note: str | None
    left_out: list[str]
    """Damaged lines of the sweep's journal."""
    figure: str | None
    best_command: str | None
    """Repeats the best trial."""
