"""What a report file declares: which studies, and for each which figures, tables and samples, in which order."""

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
class Report:
    """A page over the records of one or several studies."""

    name: str
    title: str
    sections: tuple[Section, ...]
    lead: str = ""
