"""Turns the chapters that a report declares into what the page shows, from one study instance per study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gptexp.claims.judge import Judgement
from gptexp.claims.words import (
    say_plainly,
    write_direction,
    write_quantities,
    write_truth,
    write_value,
    write_verdict,
    write_ways,
)
from gptexp.errors import GptexpError, did_you_mean
from gptexp.report.blocks import Block, make_block
from gptexp.report.declare import Chapter, Exhibit, Findings, Item, Question, Said, Show, Text
from gptexp.report.exhibits import make_exhibit
from gptexp.report.findings import Finding, state_findings
from gptexp.report.finish import Files
from gptexp.report.parts import make_part
from gptexp.report.quotes import Phrase, fill_text
from gptexp.runs.study_runs import StudyRuns
from gptexp.studies.scales import SCALES
from gptexp.wording import ABSENT


@dataclass(frozen=True)
class Saying:
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
class View:
    """One item of a chapter, ready for the template."""

    kind: str
    """text, note, block, findings, question or said."""
    phrases: tuple[Phrase, ...] = ()
    block: Block | None = None
    findings: tuple[Finding, ...] = ()
    study_key: str = ""
    answers: tuple[tuple[Phrase, ...], ...] = ()
    sayings: tuple[Saying, ...] = ()
    asserts: tuple[str, ...] = ()
    """Claims that the page asserts here."""


@dataclass(frozen=True)
class ChapterView:
    """A chapter, ready for the template."""

    slug: str
    title: str
    views: tuple[View, ...]

    @property
    def asserts(self) -> tuple[str, ...]:
        """Claims that the chapter asserts, each once."""
        return tuple(dict.fromkeys(name for view in self.views for name in view.asserts))


def choose_studies(all_runs: Sequence[StudyRuns], studies: Sequence[str]) -> tuple[dict[str, StudyRuns], list[str]]:
    """For each study the instance that stands for it, and the keys of those that stand back.

    The largest scale wins, and at a scale the study as written before one with overrides. One that lacks arms that
    another one has stands behind it: a comparison says more at a smaller scale than a single arm at a larger one.
    """
    order = {name: place for place, name in enumerate(SCALES)}
    chosen: dict[str, StudyRuns] = {}
    rest = []
    for study in studies:
        own = [study_runs for study_runs in all_runs if study_runs.name == study]
        if own:
            most = max(len(study_runs.arms) for study_runs in own)
            own.sort(key=lambda one: (len(one.arms) < most, -order.get(one.scale, -1), one.variant != "{}", one.key))
            chosen[study] = own[0]
            rest += [study_runs.key for study_runs in own[1:]]
    return chosen, rest


def build_chapters(
    chapters: Sequence[Chapter],
    studies: Mapping[str, StudyRuns],
    runs_dir: Path | None,
    judgements: Mapping[str, Judgement],
) -> tuple[list[ChapterView], Files, list[Block]]:
    """The chapters, the files of their parts, and those parts.

    Args:
        judgements: of the report's ledger, by the name of the claim.

    Raises:
        GptexpError: a text asserts a claim that the ledger doesn't have.
    """
    files: Files = {}
    blocks: list[Block] = []
    views = []
    for chapter in chapters:
        builder = _Builder(studies, runs_dir, judgements, files, blocks, set())
        items = [view for item in chapter.items for view in builder.view(item)]
        views.append(ChapterView(chapter.slug, chapter.title, tuple(items)))
    return views, files, blocks


@dataclass
class _Builder:
    """What the items of one chapter share."""

    studies: Mapping[str, StudyRuns]
    runs_dir: Path | None
    judgements: Mapping[str, Judgement]
    files: Files
    blocks: list[Block]
    missing: set[str]
    """Studies of which the chapter has said already that they are missing."""

    def view(self, item: Item) -> list[View]:
        if isinstance(item, Text):
            asserts = self._check(item.asserts)
            texts = [View("text", phrases=phrases, asserts=asserts) for phrases in self._fill([item])]
            return texts + self._correct(asserts if texts else ())
        if isinstance(item, Said):
            return [View("said", sayings=tuple(map(self._say, item.claims)), asserts=self._check(item.claims))]
        if isinstance(item, Question):
            answers = tuple(self._fill(item.answers))
            asserts = self._check(name for answer in item.answers for name in answer.asserts)
            question = View("question", phrases=(item.question,), answers=answers, asserts=asserts)
            return [question, *self._correct(asserts)] if answers else []
        if isinstance(item, Findings):
            return self._state(item)
        return self._exhibit(item) if isinstance(item, Exhibit) else self._show(item)

    def _check(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names, all of them claims of the ledger."""
        asked = tuple(names)
        for name in asked:
            if name not in self.judgements:
                near = did_you_mean(name, self.judgements)
                raise GptexpError(f"the report asserts {name!r}, which is no claim of its ledger{near}")
        return asked

    def _correct(self, asserts: Sequence[str]) -> list[View]:
        """What stands under a text that asserts something refuted."""
        refuted = [name for name in asserts if self.judgements[name].verdict == "refuted"]
        return [View("said", sayings=tuple(map(self._say, refuted)))] if refuted else []

    def _say(self, name: str) -> Saying:
        (name,) = self._check([name])
        judgement = self.judgements[name]
        run_ids = judgement.measured.source.run_ids if judgement.measured else ()
        measured, one = write_value(judgement), judgement.measured
        place = f"at scale {one.source.scale}" if one and judgement.verdict == "not measured" else "measured"
        quantities = write_quantities(judgement.claim)
        what = f" ({quantities})" if quantities else ""
        direction = say_plainly(write_direction(judgement)).removeprefix(f"{write_verdict(judgement)}: ")
        return Saying(
            quote=judgement.claim.quote,
            verdict=judgement.verdict,
            label=write_verdict(judgement),
            measured="" if measured == ABSENT else f"{place}: {measured}{what}",
            direction="; ".join(filter(None, [direction, write_ways(judgement)])),
            truth=say_plainly(write_truth(judgement)),
            run_ids=run_ids,
        )

    def _fill(self, texts: Sequence[Text]) -> list[tuple[Phrase, ...]]:
        filled = []
        for text in texts:
            phrases = fill_text(text.text, self.studies)
            if phrases is None and text.otherwise:
                phrases = fill_text(text.otherwise, self.studies)
            if phrases:
                filled.append(phrases)
        return filled

    def _state(self, item: Findings) -> list[View]:
        study = self.studies.get(item.study)
        if study is None:
            return self._miss(item.study)
        return [View("findings", findings=tuple(state_findings(study)), study_key=study.key)]

    def _show(self, item: Show) -> list[View]:
        study = self.studies.get(item.study)
        if study is None:
            return self._miss(item.study)
        part = make_part(study, item)
        if part is None:
            what = (item.title or item.part.replace("-", " ")).rstrip(".")
            return [View("note", phrases=(f"“{what}” is missing: the runs of {study.key} hold no data for it.",))]
        return [self._add(f"{item.study}-{part.name}", part, study.key)]

    def _exhibit(self, item: Exhibit) -> list[View]:
        shown = make_exhibit(item, self.studies, self.runs_dir)
        views = [self._add(part.name, part, shown.study_key if part.run_ids else "") for part in shown.parts]
        return views + ([View("note", phrases=(shown.note,))] if shown.note else [])

    def _add(self, slug: str, part: object, study: str) -> View:
        taken = {block.slug for block in self.blocks}
        number = 2
        unique = slug
        while unique in taken:
            unique, number = f"{slug}-{number}", number + 1
        block, files = make_block(unique, part, study)  # type: ignore[arg-type]
        self.files.update(files)
        self.blocks.append(block)
        return View("block", block=block)

    def _miss(self, study: str) -> list[View]:
        if study in self.missing:
            return []
        self.missing.add(study)
        text = f"Figures and numbers of the study {study} belong here, and the records hold no run of it."
        return [View("note", phrases=(f"{text} To make some: gptexp run {study}",))]
