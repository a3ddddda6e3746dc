"""What a report declares, filled from the records: a document of chapters, and their exhibits with their files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from gptexp.report.finish import Files
from gptexp.report.provenance import RunEntry

Kind = Literal["figure", "table", "samples", "code"]
PAGE, EVIDENCE, CLAIMS = "index.html", "evidence.html", "claims.json"
"""EVIDENCE holds the chapters of a report that has a page for readers too."""


@dataclass(frozen=True)
class ExhibitFile:
    """One form of an exhibit that can be downloaded."""

    label: str
    path: str
    content: str | bytes


@dataclass(frozen=True)
class BuiltExhibit:
    """A figure, table, samples or code: its HTML, its files and its runs. Plain data: processes hand it on."""

    kind: Kind
    slug: str
    title: str
    caption: str
    body: Markup
    """HTML of it without title and caption."""
    files: tuple[ExhibitFile, ...]
    run_ids: tuple[str, ...]
    study_key: str
    """The key of the study instance behind it; empty where it needs none."""


@dataclass(frozen=True)
class BuiltChapter:
    """A chapter, ready for the page."""

    slug: str
    title: str
    items: tuple[BuiltExhibit | Markup, ...]
    """Exhibits, and the HTML of what stands between them."""
    link: str
    """What leads to it at the top of the page; empty for none."""
    scale: str = ""
    """Of the study instance that a chapter is made of."""
    changed: str = ""
    """What sets its variant of the study apart; empty for the study as written."""
    study_key: str = ""
    """The instance itself."""
    asserts: tuple[str, ...] = ()
    """Claims that its texts assert."""


@dataclass(frozen=True)
class BuiltPart:
    """A part of the reader's page."""

    slug: str
    title: str
    items: tuple[Markup, ...]
    asserts: tuple[str, ...]
    """Claims that it asserts."""


@dataclass(frozen=True)
class Reading:
    """The reader's page."""

    title: str
    lead: str
    parts: tuple[BuiltPart, ...]
    minutes: int
    """That reading it takes."""


@dataclass(frozen=True)
class Document:
    """Everything that a page shows."""

    title: str
    lead: str
    summary: str
    chapters: tuple[BuiltChapter, ...]
    runs: tuple[RunEntry, ...]
    flag_rules: tuple[tuple[str, str], ...]
    """(flag, its rule in words) of the flags that some run has."""
    damaged: Sequence[Mapping[Any, Any]]
    """path and reason of what could not be read."""
    reading: Reading | None = None
    """The page for readers, where the report has one."""

    @property
    def exhibits(self) -> list[BuiltExhibit]:
        return [item for chapter in self.chapters for item in chapter.items if isinstance(item, BuiltExhibit)]


@dataclass(frozen=True)
class BuiltReport:
    """A report whose files are made. What was said of it is read from here, not from its files."""

    page: Path
    """Where it was written; before that, its name alone."""
    files: Files
    manifest: dict[str, Any]
    claims: list[dict[str, Any]]
    """As claims.json has them, with the chapters that assert them; empty without a ledger."""

    @property
    def cannot_show(self) -> dict[str, list[str]]:
        """What makes its studies show less than they seem to, by the study instance."""
        return {study["instance"]: study["cannot_show"] for study in self.manifest["studies"]}

    @property
    def contradictions(self) -> list[dict[str, Any]]:
        """Claims that the text of the page asserts although runs refute them."""
        return [row for row in self.claims if row["verdict"] == "refuted" and row["asserted_in"]]


def write_plain(content: Any) -> str:
    """JSON text as people read it in a folder."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
