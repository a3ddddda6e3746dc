"""The reader's page: its parts filled from the records and from the exhibits that the evidence shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from gptexp.claims.judge import Judgement
from gptexp.claims.measurements import MIN_SEEDS
from gptexp.claims.words import describe_sentence
from gptexp.errors import GptexpError, did_you_mean
from gptexp.report.declare import Aside, Chapter, Exhibit, Guess, Part, Passage, Report, Reveal, Said, Shown, Text
from gptexp.report.document import BuiltExhibit, BuiltPart, Reading
from gptexp.report.quotes import Phrase, Quote, fill_text
from gptexp.report.render import render_item
from gptexp.runs.study_runs import StudyRuns

WORDS_A_MINUTE = 200
"""That somebody reads who learns; 238 is what adults read of non-fiction. Source: Brysbaert 2019,
doi 10.1016/j.jml.2019.104047."""
TOOLS = ("curves", "pins", "rates", "schedule", "tokens")
"""What templates/curves.js and templates/lesson.js know."""
A_FIGURE, A_QUESTION = 0.4, 0.3
"""Minutes that a reader looks at a figure or thinks about a question."""


@dataclass(frozen=True)
class Sources:
    """What the reader's page is filled from."""

    studies: Mapping[str, StudyRuns]
    """By their name."""
    exhibits: Mapping[str, BuiltExhibit]
    """By their slug."""
    judgements: Mapping[str, Judgement]
    """By the name of the claim."""


def fill_reading(report: Report, sources: Sources) -> Reading | None:
    """The reader's page of a report; None where it declares none.

    Raises:
        GptexpError: a text quotes a measure, or a part names a claim, an exhibit or a tool, that there is none of.
    """
    if not report.reading:
        return None
    written = [item for chapter in report.chapters if isinstance(chapter, Chapter) for item in chapter.items]
    filler = _Filler(sources, [item.name for item in written if isinstance(item, Exhibit)])
    parts = tuple(filler.fill(part) for part in report.reading)
    return Reading(report.reading_title or report.title, report.reading_lead, parts, _count_minutes(parts))


def _count_minutes(parts: Sequence[BuiltPart]) -> int:
    text = " ".join(item for part in parts for item in part.items)
    figures = text.count('<figure class="block') + text.count('class="listings')
    plain = re.sub(r"<(svg|pre|table)\b.*?</\1>|<[^>]+>", " ", text, flags=re.DOTALL)
    minutes = len(plain.split()) / WORDS_A_MINUTE + figures * A_FIGURE + text.count("<summary") * A_QUESTION
    return max(1, round(minutes))


@dataclass(frozen=True)
class _Filler:
    """Fills one part after the other."""

    sources: Sources
    declared: Sequence[str]
    """Slugs of the exhibits that the chapters declare; of some the records may hold nothing."""
    asserts: list[str] = field(default_factory=list)

    def fill(self, part: Part) -> BuiltPart:
        items = tuple(markup for item in part.items for markup in self._fill_item(item))
        asserted = tuple(dict.fromkeys(self.asserts))
        self.asserts.clear()
        return BuiltPart(part.slug, part.title, items, asserted)

    def _fill_item(self, item: Passage) -> Iterator[Markup]:
        if isinstance(item, Text):
            if phrases := self._fill_text(item):
                yield render_item("passage", phrases=phrases)
        elif isinstance(item, Shown):
            if exhibit := self._find_exhibit(item):
                yield render_item("shown", item=exhibit, title=item.title, caption=item.caption, tool=item.tool)
        elif isinstance(item, Said):
            yield self._fill_said(item)
        elif isinstance(item, Aside):
            texts = [phrases for text in item.items if (phrases := self._fill_text(text))]
            yield render_item("aside", title=item.title, texts=texts)
        elif answers := [markup for one in item.items for markup in self._fill_item(one)]:
            yield self._fill_reveal(item, answers)

    def _fill_text(self, text: Text) -> list[Phrase]:
        """Its phrases; none where the records lack a number that it quotes and nothing stands instead."""
        for name in text.asserts:
            self._find_claim(name)
        phrases = fill_text(text.text, self.sources.studies)
        if phrases is None:
            return list((text.otherwise and fill_text(text.otherwise, self.sources.studies)) or ())
        self.asserts.extend(text.asserts)
        return list(phrases)

    def _fill_said(self, item: Said) -> Markup:
        judgement = self._find_claim(item.claim)
        self.asserts.append(item.claim)
        phrases = self._fill_text(item.happened)
        return render_item("said", one=describe_sentence(judgement), phrases=phrases, sure=_say_how_sure(judgement))

    def _fill_reveal(self, item: Reveal, answers: list[Markup]) -> Markup:
        guess = self._fill_guess(item.guess) if item.guess else None
        return render_item("reveal", question=item.question, answers=answers, guess=guess, draw=item.draw)

    def _fill_guess(self, guess: Guess) -> dict[str, object] | None:
        """What its form needs; None where the records lack what is to be guessed."""
        if guess.answer:
            quote = self._read_number(guess.answer)
            known = {"label": guess.label, "measured": guess.is_measured}
            return known | {"value": quote.value, "text": quote.text} if quote else None
        found = [(label, quote) for label, slot in guess.choices if (quote := self._read_number(slot))]
        if len(found) < 2:
            return None
        lowest = min(found, key=lambda choice: choice[1].value)
        return {"label": guess.label, "choices": found, "text": lowest[0]}

    def _read_number(self, text: str) -> Quote | None:
        phrases = fill_text(text, self.sources.studies)
        if phrases is None:
            return None
        (phrase,) = phrases
        return phrase if isinstance(phrase, Quote) else Quote(str(phrase), float(str(phrase)), ())

    def _find_exhibit(self, item: Shown) -> BuiltExhibit | None:
        for what, name, known in (("exhibit", item.slug, self.declared), ("tool", item.tool, TOOLS)):
            if name and name not in known:
                raise GptexpError(
                    f"the readers' page shows the {what} {name!r}; there is none{did_you_mean(name, known)}"
                )
        return self.sources.exhibits.get(item.slug)

    def _find_claim(self, name: str) -> Judgement:
        if name not in self.sources.judgements:
            near = did_you_mean(name, self.sources.judgements)
            raise GptexpError(f"the report asserts {name!r}, which is no claim of its ledger{near}")
        return self.sources.judgements[name]


def _say_how_sure(judgement: Judgement) -> str:
    """The verdict as a reader takes it: whether it holds, how many runs say so, and where they point."""
    holds = {"confirmed": "It holds", "refuted": "It does not hold"}.get(judgement.verdict)
    if judgement.claim.is_computed:
        return f"{holds}, computed." if holds else "Not settled."
    one = judgement.measured
    if one is None or not one.n:
        return "Not measured yet."
    runs, s = ("one run", "s") if one.n == 1 else (f"{one.n} seeds", "")
    if holds and one.n == 1 and one.happened is not None:
        # Of what is said to happen, or never to happen, one run is an answer.
        return f"{holds}: one run in which it {'happened' if one.happened else 'did not happen'} is enough."
    if holds:
        return f"{holds}: {runs} say{s} so."
    where = "" if one.holds is None else f"{runs.capitalize()} say{s} {'yes' if one.holds else 'no'}"
    if judgement.verdict == "underpowered":
        return f"{where or 'It is open'}; a verdict takes {'more' if one.n >= MIN_SEEDS else MIN_SEEDS} seeds."
    return f"{f'{where}, on a smaller model' if where else 'It is open'}; on the lesson's own it was not measured."
