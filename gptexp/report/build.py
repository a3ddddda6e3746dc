"""Builds a report: records to frames, frames to parts, parts to a folder."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gptexp
from gptexp.advice import advise
from gptexp.claims.judge import Judgement, judge_claims
from gptexp.claims.ledger import load_ledger
from gptexp.errors import GptexpError
from gptexp.processes import ALONE, Processes
from gptexp.report.blocks import Block, make_block
from gptexp.report.bundle import MANIFEST, hash_content, write_bundle
from gptexp.report.chapters import ChapterView, build_chapters, choose_studies
from gptexp.report.claims import tabulate_claims, tabulate_transfer, write_claims
from gptexp.report.declare import EVERY_STUDY, Report, Section
from gptexp.report.findings import state_findings
from gptexp.report.finish import Files, finish_files, finish_text
from gptexp.report.limits import rank_arms
from gptexp.report.page import TEMPLATES, Page, StudySection, list_facts, list_shared_config, render_page
from gptexp.report.provenance import build_manifest, list_entries
from gptexp.report.side_by_side import Wanted, make_sections
from gptexp.runs.frames import Frames, load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from gptexp.studies.locate import load_declared

DEFAULT_REPORT = "study"
PAGE = "index.html"


def build_report(
    name: str | None,
    *,
    runs_dir: Path,
    out: Path,
    studies: Sequence[str] | None = None,
    scales: Sequence[str] | None = None,
    run_ids: Collection[str] | None = None,
    processes: Processes = ALONE,
) -> Path:
    """Write the report called `name` (None: `study`) from the records under `runs_dir` to the folder `out`.

    The folder gets `index.html`, `figures/` (SVG, PNG, CSV, JSON, alt text), `tables/` (HTML, Markdown, CSV, JSON),
    `manifest.json` and, of a report with chapters, `code/`, `claims.json`, `pieces.css` and `PASTING.md`. The
    same records give the same bytes.

    Args:
        studies: only these studies; None takes all that the report names.
        scales: only these scales; None takes all.
        run_ids: only these runs; None takes all.
        processes: those that make it together, of `gptexp.report.workers.start_processes`.

    Returns:
        The path of `index.html`.

    Raises:
        GptexpError: no such report, an error in its file, no runs to show, or `out` can't be written.
    """
    files = make_files(name, runs_dir=runs_dir, studies=studies, scales=scales, run_ids=run_ids, processes=processes)
    write_bundle(out, files)
    return out / PAGE


def make_files(
    name: str | None,
    *,
    runs_dir: Path,
    studies: Sequence[str] | None = None,
    scales: Sequence[str] | None = None,
    run_ids: Collection[str] | None = None,
    processes: Processes = ALONE,
) -> Files:
    """Every file of a report by its path; the arguments and errors of `build_report`."""
    report = load_report(name or DEFAULT_REPORT)
    frames = load_frames(runs_dir, run_ids, processes)
    all_runs = _select(frames, runs_dir, studies, scales)
    made = (
        _make_chapters(report, all_runs, runs_dir) if report.chapters else _make_sections(report, all_runs, processes)
    )
    if not made.sections:
        raise GptexpError(f"none of the studies that the report {report.name!r} shows has runs in {runs_dir}")
    shown = [*(section.study for section in made.sections), *made.behind]
    page = Page(
        title=report.title,
        lead=report.lead,
        sections=tuple(made.sections),
        chapters=tuple(made.chapters),
        claims=tuple(made.claims),
        others=tuple(made.others),
        entries=tuple(list_entries(shown)),
        damaged=frames.damaged,
    )
    every_id = list(dict.fromkeys(run_id for study in shown for run_id in study.run_ids))
    files = finish_files({PAGE: render_page(page, gptexp.__version__), **made.files})
    entries = [_describe_file(path, content, made.blocks, every_id) for path, content in files.items()]
    selection = {"studies": list(studies) if studies else None, "scales": list(scales) if scales else None}
    manifest = build_manifest(report.name, selection, entries, shown, frames.damaged)
    files[MANIFEST] = finish_text(MANIFEST, manifest)
    return files


def load_report(name: str) -> Report:
    """The report that `reports/<name>.py` declares.

    Raises:
        GptexpError: there is none, or its file is wrong.
    """
    return load_declared("reports", "report", name, "REPORT", Report)


@dataclass
class _Made:
    """What a report consists of before it is a page."""

    sections: list[StudySection]
    files: Files = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    chapters: list[ChapterView] = field(default_factory=list)
    claims: list[Block] = field(default_factory=list)
    """The ledger, and what transfers between scales."""
    behind: list[StudyRuns] = field(default_factory=list)
    """Instances without a section that claims are judged by."""
    others: list[str] = field(default_factory=list)


def _make_sections(report: Report, studies: Sequence[StudyRuns], processes: Processes) -> _Made:
    """One section per study instance, each with its parts."""
    made = _Made([])
    matched = _match_sections(report, studies)
    wanted = [Wanted(study, _make_slug(study), section.parts) for section, study in matched]
    for (section, study), one, parts in zip(matched, wanted, make_sections(wanted, processes), strict=True):
        blocks = [block for block, _ in parts]
        for _, files in parts:
            made.files.update(files)
        made.blocks += blocks
        lead = study.question if section.lead is None else section.lead
        title = section.title or study.name
        made.sections.append(_make_section(study, one.slug, title, lead, blocks))
    return made


def _make_chapters(report: Report, studies: Sequence[StudyRuns], runs_dir: Path) -> _Made:
    """The chapters and claims; its sections say which studies stand behind them."""
    chosen, others = choose_studies(studies, report.studies)
    judgements = judge_claims(load_ledger(report.ledger).claims, studies) if report.ledger else []
    by_name = {judgement.claim.name: judgement for judgement in judgements}
    chapters, files, blocks = build_chapters(report.chapters, chosen, runs_dir, by_name)
    sections = [_make_section(one, f"study-{_make_slug(one)}", one.name, one.question, []) for one in chosen.values()]
    made = _Made(sections, files, blocks, chapters, others=others)
    if judgements:
        _add_ledger(made, judgements)
        used = {one.source.study_key for judgement in judgements for one in judgement.every}
        own = {one.key for one in chosen.values()}
        made.behind = [one for one in studies if one.key in used - own]
    notes = (TEMPLATES / "PASTING.md").read_text(encoding="utf-8")
    made.files["pieces.css"] = (TEMPLATES / "pieces.css").read_text(encoding="utf-8")
    made.files["PASTING.md"] = notes.replace("{report}", report.name)
    return made


def _add_ledger(made: _Made, judgements: Sequence[Judgement]) -> None:
    """The tables of the ledger and claims.json, which says what the page asserts."""
    for table in (tabulate_claims(judgements), tabulate_transfer(judgements)):
        if table is not None:
            block, files = make_block(table.name, table)
            made.claims.append(block)
            made.files.update(files)
    made.blocks += made.claims
    asserted: dict[str, list[str]] = {}
    for chapter in made.chapters:
        for name in chapter.asserts:
            asserted.setdefault(name, []).append(chapter.slug)
    made.files["claims.json"] = write_claims(judgements, asserted)


def _make_section(study: StudyRuns, slug: str, title: str, lead: str, blocks: Sequence[Block]) -> StudySection:
    return StudySection(
        slug=slug,
        title=title,
        lead=lead,
        study=study,
        facts=list_facts(study),
        findings=tuple(state_findings(study)),
        blocks=tuple(blocks),
        shared_config=list_shared_config(study),
    )


def _describe_file(path: str, content: str | bytes, blocks: Sequence[Block], run_ids: list[str]) -> dict[str, Any]:
    """The manifest's line of a file; one that belongs to no part stands on all runs."""
    for block in blocks:
        if path in dict(block.files).values():
            about = {
                "title": block.part.title,
                "instance": block.study_key or None,
                "run_ids": list(block.part.run_ids),
            }
            return {"path": path, **about, "sha256": hash_content(content)}
    return {"path": path, "sha256": hash_content(content), "run_ids": run_ids}


def _select(
    frames: Frames, runs_dir: Path, studies: Sequence[str] | None, scales: Sequence[str] | None
) -> list[StudyRuns]:
    """The instances asked for.

    Raises:
        GptexpError: there are none; the message says what there is.
    """
    all_runs = select_studies(frames, studies, scales)
    if all_runs:
        return [rank_arms(study) for study in all_runs]
    every = select_studies(frames)
    if not runs_dir.is_dir():
        raise GptexpError(f"there is no folder {runs_dir}; --runs-dir takes the folder that `gptexp run` records in")
    if not every:
        raise GptexpError(
            f"there are no runs of a study in {runs_dir} yet; {advise('gptexp run lr-ablation', runs_dir)} makes some"
        )
    wanted = " ".join([*(studies or ["any study"]), *(f"at scale {scale}" for scale in scales or [])])
    there = ", ".join(study.key for study in every)
    raise GptexpError(f"{runs_dir} holds no runs of {wanted}; it holds {there}")


def _match_sections(report: Report, studies: Sequence[StudyRuns]) -> list[tuple[Section, StudyRuns]]:
    """Each section with the instances that it shows, in the order of the report."""
    named = {section.study for section in report.sections}
    return [
        (section, study)
        for section in report.sections
        for study in studies
        if section.study == study.name or (section.study == EVERY_STUDY and study.name not in named)
    ]


def _make_slug(study: StudyRuns) -> str:
    """A name for files and ids that no other instance has: `lr-ablation-quick`, with a hash behind it for variants."""
    plain = f"{study.name}-{study.scale}"
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "study"
    if study.variant == "{}" and slug == plain:
        return slug
    return f"{slug}-{hash_content(study.key)[:6]}"
