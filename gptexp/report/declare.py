"""What a report file declares, as data: chapters of texts, exhibits, questions and sentences of the lesson.

An exhibit is a figure, a table, samples or code on the page. A chapter is written out (`Chapter`), or made once for
every study in the records (`StudyChapters`).

Texts may quote the records: `{study:arm:field}` stands for a number that `gptexp.report.quotes` finds, for example
`{initial-loss:gpt2-init:initial_val_loss}`. The number leads to its runs. A text that quotes what the records don't
hold is left out, or replaced by its `otherwise`.
"""

from __future__ import annotations

from dataclasses import dataclass

EVERY_STUDY = "*"
"""Stands for every study in the records that no other chapter is made of."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    otherwise: str = ""
    """Stands instead where the records lack a number that `text` quotes."""
    asserts: tuple[str, ...] = ()
    """Claims of the report's ledger that this paragraph asserts; `--strict` fails on those that runs refute."""


@dataclass(frozen=True)
class Sentences:
    """Sentences of the lesson in its own words, each with its verdict; the page asserts them by showing them."""

    claims: tuple[str, ...]
    """Names of claims of the report's ledger."""


@dataclass(frozen=True)
class Exhibit:
    """A figure, table, samples or code."""

    kind: str
    """A name of `gptexp.report.exhibits.EXHIBITS`, or one of another package."""
    study: str = ""
    """The study whose runs it shows; empty for what needs none."""
    slug: str = ""
    """Names its files and its place on the page; empty takes study and kind."""
    title: str = ""
    """Empty takes the kind's own."""
    text: str = ""
    """A line under it, behind what the kind itself says."""
    arms: tuple[str, ...] = ()
    """Only these arms; none named means all."""
    optional: bool = False
    """Left out without a word where there is nothing to show."""

    @property
    def name(self) -> str:
        """Its slug; where two have the same one, the second gets a number behind it."""
        return self.slug or "-".join(filter(None, (self.study, self.kind)))


@dataclass(frozen=True)
class Findings:
    """What a study found, in sentences made from its numbers."""

    study: str


@dataclass(frozen=True)
class Question:
    """A question that opens to its answer."""

    question: str
    answers: tuple[Text, ...]
    """Paragraphs; those whose numbers the records lack give way to their `otherwise`."""


@dataclass(frozen=True)
class StudyFacts:
    """Question, expectation, facts and shared config of every study that the chapters name."""


Item = Text | Sentences | Exhibit | Findings | Question | StudyFacts


@dataclass(frozen=True)
class Chapter:
    """A part of the page."""

    slug: str
    title: str
    items: tuple[Item, ...]
    link: str | None = None
    """What leads to it at the top of the page; None takes the title, and an empty text leaves the link out."""


@dataclass(frozen=True)
class StudyChapters:
    """A chapter for each instance of a study in the records: what it asks and found, its facts, and these exhibits."""

    exhibits: tuple[str, ...]
    """Kinds in their order; those for which an instance has no data are left out."""
    study: str = EVERY_STUDY
    """The name of a study, or `*`."""
    title: str = ""
    """Empty takes the study's name."""
    lead: str | None = None
    """A paragraph under the title; None takes the study's question."""


@dataclass(frozen=True)
class Shown:
    """An exhibit of the evidence, shown on the reader's page too, where it leads to its place among the evidence."""

    slug: str
    """Of the exhibit."""
    title: str = ""
    """Instead of its own."""
    caption: str = ""
    """Instead of its own, which says more."""
    tool: str = ""
    """What a script lets the reader do with it: curves, pins, tokens, rates, schedule; empty for nothing."""


@dataclass(frozen=True)
class Said:
    """What the lesson says, in its own words, what happened, and how sure that is."""

    claim: str
    """Its name in the ledger."""
    happened: Text


@dataclass(frozen=True)
class Guess:
    """What a reader may guess before the answer is shown: a number, or which of several is lowest."""

    label: str
    answer: str = ""
    """A number, or a slot that quotes one."""
    choices: tuple[tuple[str, str], ...] = ()
    is_measured: bool = True
    """Whether the answer was measured, and not counted or computed."""
    """(label, slot) of each; the one with the lowest number is right."""


@dataclass(frozen=True)
class Reveal:
    """A question whose answer the reader opens, after guessing or drawing it."""

    question: str
    items: tuple[Text | Shown | Said, ...]
    guess: Guess | None = None
    draw: str = ""
    """What the reader is asked to draw on the axes of the first figure of the answer; empty for nothing."""


@dataclass(frozen=True)
class Aside:
    """A remark beside the main line."""

    title: str
    items: tuple[Text, ...]


Passage = Text | Shown | Said | Reveal | Aside


@dataclass(frozen=True)
class Part:
    """A part of the reader's page."""

    slug: str
    title: str
    items: tuple[Passage, ...]


@dataclass(frozen=True)
class Report:
    """A page over the records of one or several studies, and before it, where there is one, a page for readers."""

    name: str
    title: str
    chapters: tuple[Chapter | StudyChapters, ...]
    ledger: str = ""
    """The claim ledger (`reports/ledger/NAME.py`) that the page is held against."""
    lead: str = ""
    reading: tuple[Part, ...] = ()
    """The reader's page, which shows some of the exhibits; the chapters then stand on a page of their own."""
    reading_title: str = ""
    reading_lead: str = ""

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies that written chapters name, each once, in their order."""
        items = [item for chapter in self.chapters if isinstance(chapter, Chapter) for item in chapter.items]
        named = [item.study for item in items if isinstance(item, Exhibit | Findings)]
        return tuple(dict.fromkeys(name for name in named if name))
