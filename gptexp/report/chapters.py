"""Turns the chapters that a report declares into those that the page shows: each item filled from the records."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from gptexp.claims.judge import Judgement
from gptexp.claims.words import describe_sentence
from gptexp.errors import GptexpError, did_you_mean
from gptexp.processes import ALONE, Processes
from gptexp.report.bundle import hash_content
from gptexp.report.declare import (
    EVERY_STUDY,
    Chapter,
    Exhibit,
    Item,
    Question,
    Sentences,
    StudyChapters,
    StudyFacts,
    Text,
)
from gptexp.report.document import BuiltChapter, BuiltExhibit
from gptexp.report.exhibits import Source, find_exhibit
from gptexp.report.facts import list_facts, list_shared_config, name_changes
from gptexp.report.findings import state_findings
from gptexp.report.make import Order, make_exhibits
from gptexp.report.predictions import tell_predictions
from gptexp.report.quotes import Code, Phrase, fill_text
from gptexp.report.render import render_item
from gptexp.runs.study_runs import StudyRuns


@dataclass(frozen=True)
class Evidence:
    """What chapters are filled from."""

    instances: Sequence[StudyRuns]
    """Every study instance that the page may show."""
    chosen: Mapping[str, StudyRuns] = field(default_factory=dict)
    """By the name of a study that written chapters name, the instance that stands for it."""
    left_out: Sequence[str] = ()
    """Keys of the instances that stand back behind those."""
    judgements: Mapping[str, Judgement] = field(default_factory=dict)
    """Of the report's ledger, by the name of the claim."""
    runs_dir: Path | None = None
    """Where the weights of runs lie."""
    forks: Mapping[str, Sequence[StudyRuns]] = field(default_factory=dict)
    """By the key of an instance, the studies of forks of its runs."""


@dataclass
class _Draft:
    """A chapter whose exhibits are still to be made."""

    chapter: Chapter
    study: StudyRuns | None = None
    """The instance that the chapter is made of."""
    items: list[Markup | Order] = field(default_factory=list)
    asserts: list[str] = field(default_factory=list)
    """Claims that it asserts."""
    missing: set[str] = field(default_factory=set)
    """Studies of which it has said already that they are missing."""

    def finish(self, made: Iterator[BuiltExhibit | str]) -> BuiltChapter:
        """The chapter with its exhibits, the next ones of `made`."""
        items: list[BuiltExhibit | Markup] = []
        for item in self.items:
            if isinstance(item, Markup):
                items.append(item)
            elif isinstance(exhibit := next(made), BuiltExhibit):
                items.append(exhibit)
            elif not item.exhibit.optional:
                items.append(_say_missing(exhibit))
        return BuiltChapter(
            slug=self.chapter.slug,
            title=self.chapter.title,
            items=tuple(items),
            link=self.chapter.title if self.chapter.link is None else self.chapter.link,
            scale=self.study.scale if self.study else "",
            changed=name_changes(self.study) if self.study else "",
            study_key=self.study.key if self.study else "",
            asserts=tuple(dict.fromkeys(self.asserts)),
        )


def fill_chapters(
    chapters: Sequence[Chapter | StudyChapters], evidence: Evidence, processes: Processes = ALONE
) -> list[BuiltChapter]:
    """What the page shows of the chapters that a report declares.

    Raises:
        GptexpError: an exhibit of an unknown kind, or a text that asserts a claim which the ledger doesn't have.
    """
    filler = _Filler(evidence)
    named = {chapter.study for chapter in chapters if isinstance(chapter, StudyChapters)}
    drafts = []
    for chapter in chapters:
        if isinstance(chapter, Chapter):
            drafts.append(filler.draft(chapter))
            continue
        for study in evidence.instances:
            if study.name == chapter.study or (chapter.study == EVERY_STUDY and study.name not in named):
                drafts.append(filler.draft_study(chapter, study))
    orders = [item for draft in drafts for item in draft.items if isinstance(item, Order)]
    made = iter(make_exhibits(orders, processes))
    return [draft.finish(made) for draft in drafts]


@dataclass(frozen=True)
class _Filler:
    """Fills the items of chapters; exhibits are only ordered, to be made together."""

    evidence: Evidence
    slugs: set[str] = field(default_factory=set)
    """Those that are taken."""

    def draft(self, chapter: Chapter) -> _Draft:
        draft = _Draft(chapter)
        for item in chapter.items:
            draft.items += self._fill(item, draft)
        return draft

    def draft_study(self, pattern: StudyChapters, study: StudyRuns) -> _Draft:
        slug = make_slug(study)
        lead = study.question if pattern.lead is None else pattern.lead
        draft = _Draft(Chapter(slug, pattern.title or study.name, ()), study)
        draft.items += _introduce(study, lead, "lead")
        draft.items += [self._state(study), render_item("facts", pairs=list_facts(study))]
        for kind in pattern.exhibits:
            draft.items.append(self._order(Exhibit(kind, study.name, slug=f"{slug}-{kind}", optional=True), study))
        draft.items.append(render_item("shared_config", pairs=list_shared_config(study)))
        return draft

    def _fill(self, item: Item, draft: _Draft) -> Iterable[Markup | Order]:
        if isinstance(item, Text):
            paragraphs = [_write(phrases) for phrases in self._fill_texts([item])]
            return [*paragraphs, *self._assert(item.asserts if paragraphs else (), draft)]
        if isinstance(item, Question):
            answers = list(self._fill_texts(item.answers))
            if not answers:
                return []
            asserts = [name for answer in item.answers for name in answer.asserts]
            question = render_item("question", question=item.question, answers=answers)
            return [question, *self._assert(asserts, draft)]
        if isinstance(item, Sentences):
            self._assert(item.claims, draft)
            return [_hold(self.evidence.judgements[name] for name in item.claims)]
        if isinstance(item, StudyFacts):
            return self._list_studies()
        study = self.evidence.chosen.get(item.study)
        if isinstance(item, Exhibit) and (study or not item.study):
            return [self._order(item, study)]
        return [self._state(study)] if study else _miss_study(item.study, draft)

    def _fill_texts(self, texts: Sequence[Text]) -> Iterator[tuple[Phrase, ...]]:
        for text in texts:
            phrases = fill_text(text.text, self.evidence.chosen)
            if phrases is None and text.otherwise:
                phrases = fill_text(text.otherwise, self.evidence.chosen)
            if phrases:
                yield phrases

    def _assert(self, names: Iterable[str], draft: _Draft) -> list[Markup]:
        """Note that the chapter asserts these claims. Returns what stands under a text that asserts refuted ones."""
        refuted = []
        for name in names:
            judgement = self.evidence.judgements.get(name)
            if judgement is None:
                near = did_you_mean(name, self.evidence.judgements)
                raise GptexpError(f"the report asserts {name!r}, which is no claim of its ledger{near}")
            draft.asserts.append(name)
            if judgement.verdict == "refuted":
                refuted.append(judgement)
        return [_hold(refuted)] if refuted else []

    def _list_studies(self) -> Iterator[Markup]:
        for study in self.evidence.chosen.values():
            yield render_item("heading", text=study.name, label=study.scale)
            yield from _introduce(study, study.question, "prose")
            yield render_item("facts", pairs=list_facts(study))
            yield render_item("shared_config", pairs=list_shared_config(study))
        shown = {study.key for study in self.evidence.chosen.values()}
        if others := [study.key for study in self.evidence.instances if study.key not in shown]:
            text = f"Also in the records, without a chapter here, though claims may read them: {', '.join(others)}. "
            yield _write((text, Code("gptexp report study"), " shows all."), "caption")

    def _state(self, study: StudyRuns) -> Markup:
        beside = tuple(self.evidence.chosen.values()) or self.evidence.instances
        return render_item("findings", findings=state_findings(study, beside), study_key=study.key)

    def _order(self, exhibit: Exhibit, study: StudyRuns | None) -> Order:
        find_exhibit(exhibit.kind)
        plain = slug = exhibit.name
        number = 2
        while slug in self.slugs:
            slug, number = f"{plain}-{number}", number + 1
        self.slugs.add(slug)
        # Claims are judged by runs of many studies: where one is shown, they need not come with it.
        judgements = () if study else tuple(self.evidence.judgements.values())
        forks = self.evidence.forks.get(study.key, ()) if study else ()
        return Order(dataclasses.replace(exhibit, slug=slug), Source(study, self.evidence.runs_dir, judgements, forks))


def _write(phrases: Iterable[Phrase], style: str = "prose", label: str = "") -> Markup:
    """A paragraph; `style` is its class on the page, `label` its first word in bold."""
    return render_item("paragraph", phrases=list(phrases), style=style, label=label)


def _hold(judgements: Iterable[Judgement]) -> Markup:
    """Sentences of the lesson with what the records say to them."""
    return render_item("sentences", sentences=[describe_sentence(judgement) for judgement in judgements])


def _introduce(study: StudyRuns, lead: str, style: str) -> Iterator[Markup]:
    """What the study asks, and what was expected."""
    if lead:
        yield _write([lead], style)
    if study.hypothesis:
        yield _write([study.hypothesis], "lead expected", "Expected")
    for when, sentence in tell_predictions(study):
        yield _write([sentence], "lead expected", when)


def _miss_study(study: str, draft: _Draft) -> list[Markup]:
    """Says once in a chapter that there are no runs of a study."""
    if study in draft.missing:
        return []
    draft.missing.add(study)
    text = f"Figures and numbers of the study {study} belong here, and the records hold no run of it."
    return [_say_missing(f"{text} To make some: gptexp run {study}")]


def _say_missing(text: str) -> Markup:
    return _write([text], "missing", "Missing")


def make_slug(study: StudyRuns) -> str:
    """A name for files and ids that no other instance has: `lr-ablation-quick`, with a hash behind it for variants."""
    plain = f"{study.name}-{study.scale}"
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "study"
    if study.variant == "{}" and slug == plain:
        return slug
    return f"{slug}-{hash_content(study.key)[:6]}"
