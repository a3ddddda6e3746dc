"""What a report declares, filled from the records: a document of chapters, each with its items ready for the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from gptexp.report.findings import Finding
from gptexp.report.finish import Files
from gptexp.report.provenance import RunEntry
from gptexp.report.quotes import Phrase

Pairs = tuple[tuple[str, str], ...]
Kind = Literal["figure", "table", "samples", "code"]
PAGE, CLAIMS = "index.html", "claims.json"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `style` is its class on the page, `label` its first word in bold."""

    macro: ClassVar = "paragraph"
    phrases: tuple[Phrase, ...]
    style: Literal["prose", "lead", "lead expected", "caption", "missing"] = "prose"
    label: str = ""


@dataclass(frozen=True)
class JudgedSentence:
    """A sentence of the lesson with what the records say to it."""

    quote: str
    verdict: str
    label: str
    """The verdict as it is shown."""
    measured: str
    """What was measured, and where; empty where nothing was."""
    direction: str
    truth: str
    """What would be true instead; empty where it isn't refuted."""
    run_ids: tuple[str, ...]


@dataclass(frozen=True)
class JudgedSentences:
    macro: ClassVar = "sentences"
    sentences: tuple[JudgedSentence, ...]


@dataclass(frozen=True)
class StudyFindings:
    macro: ClassVar = "findings"
    findings: tuple[Finding, ...]
    study_key: str


@dataclass(frozen=True)
class AnsweredQuestion:
    macro: ClassVar = "question"
    question: str
    answers: tuple[tuple[Phrase, ...], ...]


@dataclass(frozen=True)
class Heading:
    macro: ClassVar = "heading"
    text: str
    label: str


@dataclass(frozen=True)
class Facts:
    """What a reader needs to place the numbers of a study."""

    macro: ClassVar = "facts"
    pairs: Pairs


@dataclass(frozen=True)
class SharedConfig:
    """The settings that all runs of a study share."""

    macro: ClassVar = "shared_config"
    pairs: Pairs


@dataclass(frozen=True)
class ExhibitFile:
    """One form of an exhibit that can be downloaded."""

    label: str
    path: str
    content: str | bytes


@dataclass(frozen=True)
class BuiltExhibit:
    """A figure, table, samples or code: its HTML, its files, and the runs behind it. Plain data: it crosses process
    boundaries."""

    macro: ClassVar = "exhibit"
    kind: Kind
    slug: str
    title: str
    caption: str
    body: str
    """HTML between title and caption; everything in it is escaped."""
    files: tuple[ExhibitFile, ...]
    run_ids: tuple[str, ...]
    study_key: str
    """The key of the study instance behind it; empty where it needs none."""


BuiltItem = (
    Paragraph | JudgedSentences | StudyFindings | AnsweredQuestion | Heading | Facts | SharedConfig | BuiltExhibit
)


@dataclass(frozen=True)
class BuiltChapter:
    """A chapter, ready for the page."""

    slug: str
    title: str
    items: tuple[BuiltItem, ...]
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
class Document:
    """Everything that a page shows."""

    title: str
    lead: str
    summary: str
    chapters: tuple[BuiltChapter, ...]
    runs: tuple[RunEntry, ...]
    flag_rules: Pairs
    """(flag, its rule in words) of the flags that some run has."""
    damaged: Sequence[Mapping[Any, Any]]
    """path and reason of what could not be read."""

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
