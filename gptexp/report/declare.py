"""What a report file declares, as data: which studies, figures, tables, texts, questions and sentences of the lesson.

A report is either a list of `Section`s (a page over any studies) or a list of `Chapter`s (a page that tells something).

Texts of chapters may quote the records: `{study:arm:field}` stands for a number that `gptexp.report.quotes` finds, for
example `{initial-loss:gpt2-init:initial_val_loss}`. The number leads to its runs. A text that quotes what the records
don't hold is left out, or replaced by its `otherwise`.
"""

from __future__ import annotations

from dataclasses import dataclass

EVERY_STUDY = "*"
"""Stands for every study instance in the records that no other section names."""


@dataclass(frozen=True)
class Section:
    """One study on the page. Where the records hold it at several scales, each gets a section of its own."""

    study: str
    """The name of a study, or `*`."""
    parts: tuple[str, ...]
    """Names of parts (`gptexp.report.parts.PARTS`) in their order; those without data are left out."""
    title: str | None = None
    """None takes the study's name."""
    lead: str | None = None
    """A paragraph under the title; None takes the study's question."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    otherwise: str = ""
    """Stands instead where the records lack a number that `text` quotes."""
    asserts: tuple[str, ...] = ()
    """Claims of the report's ledger that this paragraph asserts; `--strict` fails on those that runs refute."""


@dataclass(frozen=True)
class Said:
    """Sentences of the lesson in its own words, each with its verdict; the page asserts them by showing them."""

    claims: tuple[str, ...]
    """Names of claims of the report's ledger."""


@dataclass(frozen=True)
class Show:
    """A figure, table or grid of samples of a study."""

    study: str
    part: str
    """A name of `gptexp.report.parts.PARTS`."""
    name: str | None = None
    """Of its files; None takes the part's."""
    title: str | None = None
    """None takes the part's."""
    arms: tuple[str, ...] = ()
    """Only these arms; none named means all."""


@dataclass(frozen=True)
class Findings:
    """What a study found, in sentences made from its numbers."""

    study: str


@dataclass(frozen=True)
class Exhibit:
    """Something that needs no run, or measures one: a name of `gptexp.report.exhibits.EXHIBITS`."""

    name: str
    title: str
    text: str = ""
    """A line under it."""
    study: str = ""
    """The study whose weights it measures, where it does."""


@dataclass(frozen=True)
class Question:
    """A question that opens to its answer."""

    question: str
    answers: tuple[Text, ...]
    """Paragraphs; those whose numbers the records lack give way to their `otherwise`."""


Item = Text | Said | Show | Findings | Exhibit | Question


@dataclass(frozen=True)
class Chapter:
    """A part of a page that tells something."""

    slug: str
    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Report:
    """A page over the records of one or several studies."""

    name: str
    title: str
    sections: tuple[Section, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    ledger: str = ""
    """The claim ledger (`reports/ledger/NAME.py`) that the page is held against."""
    lead: str = ""

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies that the chapters name, each once, in their order."""
        named = [item.study for chapter in self.chapters for item in chapter.items if hasattr(item, "study")]
        return tuple(dict.fromkeys(name for name in named if name))
