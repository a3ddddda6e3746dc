"""Formats of pages, claims, texts and notebooks."""

from __future__ import annotations

from typing import Literal

from gptexp.cli.documents.base import Document, Number, Part

Verdict = Literal["confirmed", "refuted", "underpowered", "not measured"]


class Contradiction(Part):
    """What a page asserts and its ledger refutes."""

    name: str
    """Of the claim."""
    sentence: str
    true_sentence: str | None
    instance: str | None
    asserted_in: list[str]
    """Chapters of the page."""


class ReportDocument(Document):
    """A page, and how it stands to the claims. With --check or --strict the exit status is 1 where one is wrong."""

    commands = ("gptexp report",)

    format: Literal["gptexp.report/1"]
    report: str
    problems: list[str]
    """With --check: what no longer follows from the records."""
    n_runs: int
    files: list[str]
    """Of the page's folder."""
    cannot_show: dict[str, list[str]]
    """Study instance -> what makes it show less than it seems to."""
    verdicts: dict[str, int]
    """Verdict -> how many claims have it; empty where the report has no ledger."""
    contradictions: list[Contradiction]
    page: str | None
    """index.html; null with --check, which writes nothing."""
    published: str | None
    """The folder of --publish."""
    wandb_url: str | None
    """With --to-wandb online."""


class Watch(Document):
    """Where the page is served, printed as soon as it is."""

    commands = ("gptexp watch",)
    shape = "lines"

    format: Literal["gptexp.watch/1"]
    url: str
    """With the token, where one is asked for."""
    runs_dir: str


class Place(Part):
    """Where the lesson says it."""

    section: str
    quote: str


class Way(Part):
    """One of several ways in which a claim can be taken."""

    way: str
    verdict: Verdict
    study: str
    quantity: str
    seeds: int | None
    happened: int | None
    value: Number | None
    trained: str | None
    differs: list[str]
    true_sentence: str | None
    run_ids: list[str]


class Transfer(Part):
    """The same question at one scale."""

    claim: str
    scale: str
    instance: str
    difference: float | None
    low: float | None
    high: float | None
    seeds: int
    happened: int | None
    as_stated: bool | None
    judges: bool
    """Whether these runs may judge the claim."""
    trained: str | None


class ClaimRow(Document):
    """A sentence of the lesson and what the runs say to it."""

    commands = ("gptexp claims",)
    shape = "list"

    format: Literal["gptexp.claims/1"]
    name: str
    verdict: Verdict
    says: str
    sentence: str
    source: str
    places: list[Place]
    study: str | None
    quantity: str | None
    """What is measured; null of a claim that no number decides."""
    relation: str | None
    """above, below, about, happens, and so on."""
    stated: float | None
    """The number that the lesson states."""
    tolerance: float
    why: str
    """The reason of the tolerance."""
    needs_scale: str | None
    """lesson: only runs of the lesson's own model judge it."""
    needs_max_steps: int | None
    value: Number | None
    compared_with: str | None
    other_value: Number | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    smallest_p: float | None
    smallest_detectable: float | None
    seeds: int | None
    happened: int | None
    """Seeds in which it happened."""
    diverged: int | None
    direction: str
    as_stated: bool | None
    instance: str | None
    """The study instance that the numbers come from."""
    scale: str | None
    differs: list[str]
    """In what its runs differ from the lesson's model."""
    trained: str | None
    ways: list[Way]
    true_sentence: str | None
    """What is true instead of a refuted claim."""
    command: str | None
    """Measures it."""
    run_ids: list[str]
    transfer: list[Transfer]


class LintRow(Document):
    """A sentence of an author's text and what the records say to it."""

    commands = ("gptexp lint lesson.mdx",)
    shape = "list"

    format: Literal["gptexp.lint/1"]
    line: int
    sentence: str
    status: Literal["refuted", "stale", "unknown claim", "underpowered", "not measured", "unknown", "confirmed"]
    claim: str | None
    bound: bool
    """Whether the author bound it to the claim: one that doesn't hold makes the exit status 1."""
    says: str
    fix: str | None
    """The measured number that --fix writes."""


class Notebook(Document):
    """The lesson's notebook."""

    commands = ("gptexp notebook",)

    format: Literal["gptexp.notebook/1"]
    written: list[str]
    problems: list[str]
    """With --check: files that are not what the source gives; the exit status is 1."""
