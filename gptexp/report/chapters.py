"""Turns the chapters that a report declares into what the page shows, from one study instance per study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gptexp.analysis.instances import Instance
from gptexp.report.blocks import Block, Files, make_block
from gptexp.report.declare import Chapter, Exhibit, Findings, Item, Question, Show, Text
from gptexp.report.exhibits import make_exhibit
from gptexp.report.findings import Finding, state_findings
from gptexp.report.parts import make_part
from gptexp.report.quotes import Phrase, fill_text
from gptexp.studies.scales import SCALES


@dataclass(frozen=True)
class View:
    """One item of a chapter, ready for the template."""

    kind: str
    """text, note, block, findings or question."""
    phrases: tuple[Phrase, ...] = ()
    block: Block | None = None
    findings: tuple[Finding, ...] = ()
    instance: str = ""
    answers: tuple[tuple[Phrase, ...], ...] = ()


@dataclass(frozen=True)
class ChapterView:
    """A chapter, ready for the template."""

    slug: str
    title: str
    views: tuple[View, ...]


def choose_instances(instances: Sequence[Instance], studies: Sequence[str]) -> tuple[dict[str, Instance], list[str]]:
    """For each study the instance that stands for it, and the keys of those that stand back.

    The largest scale wins, and at a scale the study as written before one with overrides.
    """
    order = {name: place for place, name in enumerate(SCALES)}
    chosen: dict[str, Instance] = {}
    rest = []
    for study in studies:
        own = [instance for instance in instances if instance.study == study]
        own.sort(key=lambda instance: (-order.get(instance.scale, -1), instance.variant != "{}", instance.key))
        if own:
            chosen[study] = own[0]
            rest += [instance.key for instance in own[1:]]
    return chosen, rest


def build_chapters(
    chapters: Sequence[Chapter], instances: Mapping[str, Instance], runs_dir: Path | None
) -> tuple[list[ChapterView], Files, list[Block]]:
    """The chapters, the files of their parts, and those parts."""
    files: Files = {}
    blocks: list[Block] = []
    views = []
    for chapter in chapters:
        builder = _Builder(instances, runs_dir, files, blocks, set())
        items = [view for item in chapter.items for view in builder.view(item)]
        views.append(ChapterView(chapter.slug, chapter.title, tuple(items)))
    return views, files, blocks


@dataclass
class _Builder:
    """What the items of one chapter share."""

    instances: Mapping[str, Instance]
    runs_dir: Path | None
    files: Files
    blocks: list[Block]
    missing: set[str]
    """Studies of which the chapter has said already that they are missing."""

    def view(self, item: Item) -> list[View]:
        if isinstance(item, Text):
            return [View("text", phrases=phrases) for phrases in self._fill([item])]
        if isinstance(item, Question):
            answers = tuple(self._fill(item.answers))
            return [View("question", phrases=(item.question,), answers=answers)] if answers else []
        if isinstance(item, Findings):
            return self._state(item)
        return self._exhibit(item) if isinstance(item, Exhibit) else self._show(item)

    def _fill(self, texts: Sequence[Text]) -> list[tuple[Phrase, ...]]:
        filled = []
        for text in texts:
            phrases = fill_text(text.text, self.instances)
            if phrases is None and text.otherwise:
                phrases = fill_text(text.otherwise, self.instances)
            if phrases:
                filled.append(phrases)
        return filled

    def _state(self, item: Findings) -> list[View]:
        instance = self.instances.get(item.study)
        if instance is None:
            return self._miss(item.study)
        return [View("findings", findings=tuple(state_findings(instance)), instance=instance.key)]

    def _show(self, item: Show) -> list[View]:
        instance = self.instances.get(item.study)
        if instance is None:
            return self._miss(item.study)
        part = make_part(instance, item)
        if part is None:
            what = (item.title or item.part.replace("-", " ")).rstrip(".")
            return [View("note", phrases=(f"“{what}” is missing: the runs of {instance.key} hold no data for it.",))]
        return [self._add(f"{item.study}-{part.name}", part, instance.key)]

    def _exhibit(self, item: Exhibit) -> list[View]:
        shown = make_exhibit(item, self.instances, self.runs_dir)
        views = [self._add(part.name, part, shown.instance if part.run_ids else "") for part in shown.parts]
        return views + ([View("note", phrases=(shown.note,))] if shown.note else [])

    def _add(self, slug: str, part: object, instance: str) -> View:
        taken = {block.slug for block in self.blocks}
        number = 2
        unique = slug
        while unique in taken:
            unique, number = f"{slug}-{number}", number + 1
        block, files = make_block(unique, part, instance)  # type: ignore[arg-type]
        self.files.update(files)
        self.blocks.append(block)
        return View("block", block=block)

    def _miss(self, study: str) -> list[View]:
        if study in self.missing:
            return []
        self.missing.add(study)
        text = f"Figures and numbers of the study {study} belong here, and the records hold no run of it."
        return [View("note", phrases=(f"{text} To make some: gptexp run {study}",))]
