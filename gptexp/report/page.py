"""The HTML page: one file that needs no other, and no script to be read."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from gptexp.measures.curves import count_epochs
from gptexp.measures.texts import name_corpora
from gptexp.report.blocks import Block
from gptexp.report.chapters import ChapterView
from gptexp.report.findings import Finding
from gptexp.report.limits import MOST_ARMS, MOST_DETAILED
from gptexp.report.palette import style_arm, write_css_variables
from gptexp.report.provenance import HIDDEN, RunEntry, find_common_config, show_setting, spell_configs
from gptexp.report.quotes import Code, Quote
from gptexp.runs.study_runs import StudyRuns
from gptexp.training.flags import FLAG_RULES
from gptexp.wording import count_things, write_count, write_number

TOGETHER = re.compile(r"\b(?:[\d.]+e-\d+|GPT-2)\b")
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class StudySection:
    """One study instance on the page."""

    slug: str
    title: str
    lead: str
    study: StudyRuns
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    blocks: tuple[Block, ...]
    shared_config: tuple[tuple[str, str], ...]

    @property
    def changed(self) -> str:
        """What sets this variant of the study apart; empty for the study as written."""
        return self.study.key.partition(" ")[2]


@dataclass(frozen=True)
class Page:
    """Everything that a page shows: sections (one per study) or chapters."""

    title: str
    lead: str
    sections: tuple[StudySection, ...]
    chapters: tuple[ChapterView, ...]
    claims: tuple[Block, ...]
    """The ledger, and what transfers between scales."""
    others: tuple[str, ...]
    """Keys of study instances in the records that the page leaves out."""
    entries: tuple[RunEntry, ...]
    damaged: pd.DataFrame


def render_page(page: Page, version: str) -> str:
    """HTML text. Everything but our own SVG is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _keep_together
    environment.globals.update(style_arm=style_arm, inline=_inline_svg, most_arms=MOST_ARMS)
    environment.tests.update(quote=lambda value: isinstance(value, Quote), code=lambda value: isinstance(value, Code))
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    template = "lesson.html.j2" if page.chapters else "study.html.j2"
    return environment.get_template(template).render(
        page=page,
        summary=_summarize_page(page.sections, page.entries),
        damaged=page.damaged.to_dict("records"),
        flag_rules=_list_rules(page.sections),
        version=version,
        detailed=len(page.entries) <= MOST_DETAILED,
        css=Markup(write_css_variables(".gx") + (TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        policy=Markup(write_policy(script)),
    )


def write_policy(script: str) -> str:
    """The page's content security policy: its own styles and this one script, and nothing from anywhere else.

    Should markup ever slip through the escaping, it still can't run, load or send anything.

    Source: https://www.w3.org/TR/CSP3/#grammardef-hash-source
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own = f"style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def list_facts(study: StudyRuns) -> tuple[tuple[str, str], ...]:
    """What a reader needs to place the numbers: scale, corpus, passes over it, seeds, runs, size, machine."""
    runs = study.runs
    facts = [("scale", study.scale)]
    if study.variant != "{}":
        facts.append(("changed", study.key.partition(" ")[2]))
    names = " / ".join(sorted(name_corpora(runs).values())) if runs["corpus_name"].notna().any() else "unknown"
    fallback = " (stand-in)" if runs["corpus_fallback"].any() else ""
    tokens = runs["train_tokens"].dropna().unique()
    size = f", {write_count(tokens[0])} train tokens" if len(tokens) == 1 else ""
    facts.append(("corpus", f"{names}{fallback}{size}"))
    epochs = [count_epochs(seen, size) for seen, size in zip(runs["tokens_seen"], runs["train_tokens"], strict=True)]
    highest = pd.Series(epochs).max()
    if not study.is_untrained and highest == highest:
        facts.append(("epochs", write_number(highest, 2)))
    facts.append(("seeds", ", ".join(str(seed) for seed in study.seeds)))
    facts.append(("runs", str(len(study.run_ids))))
    sizes = runs["n_params"].dropna().unique()
    if len(sizes):
        facts.append(("parameters", " / ".join(write_count(size) for size in sorted(sizes))))
    facts.append(("computed on", f"{_list_texts(runs['device'])}, {_list_texts(runs['precision'])}"))
    return tuple(facts)


def list_shared_config(study: StudyRuns) -> tuple[tuple[str, str], ...]:
    """(field, value) of every config field that has the same value in all runs."""
    common = find_common_config(spell_configs(study.runs))
    same = [name for name in common if name not in HIDDEN and study.runs[name].astype(str).nunique() == 1]
    return tuple((name, show_setting(common[name])) for name in sorted(same))


def _summarize_page(sections: Sequence[StudySection], entries: Sequence[RunEntry]) -> str:
    studies = count_things(len({section.study.name for section in sections}), "study")
    ends = [str(end) for section in sections for end in section.study.runs["finished_at"].dropna()]
    last = f", the last finished {max(ends)[:16].replace('T', ' ')} UTC" if ends else ""
    return f"{studies}, {count_things(len(entries), 'run')}{last}."


def _list_rules(sections: Sequence[StudySection]) -> list[tuple[str, str]]:
    """(flag, its rule in words) of the flags that some run has."""
    flags = {flag for section in sections for text in section.study.runs["flags"] for flag in str(text).split(",")}
    return [(flag, rule) for flag, rule in FLAG_RULES.items() if flag in flags]


def _list_texts(column: pd.Series) -> str:
    return " / ".join(sorted({str(value) for value in column.dropna()})) or "unknown"


def _keep_together(text: str) -> Markup:
    """Escaped text in which no line breaks inside `6e-4` or `GPT-2`."""
    return Markup(TOGETHER.sub(r'<span class="nb">\g<0></span>', str(escape(text))))


def _inline_svg(svg: str) -> Markup:
    """Our own SVG as markup; its style block stands in the page's CSS already."""
    start, end = svg.index("<style>"), svg.index("</style>") + len("</style>")
    return Markup(svg[:start] + svg[end:])
