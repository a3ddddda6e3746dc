"""Builds a report: records to frames, frames to parts, parts to a folder."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gptexp
from gptexp.advice import advise
from gptexp.analysis.claims import Judgement, judge_claims
from gptexp.analysis.frames import Frames, load_frames
from gptexp.analysis.instances import Instance, select_instances
from gptexp.analysis.ledger import load_ledger
from gptexp.errors import GptexpError
from gptexp.processes import ALONE, Processes
from gptexp.report.blocks import Block, make_block
from gptexp.report.bundle import MANIFEST, hash_content, write_bundle
from gptexp.report.chapters import ChapterView, build_chapters, choose_instances
from gptexp.report.claims import tabulate_claims, tabulate_transfer, write_claims
from gptexp.report.declare import EVERY_STUDY, Report, Section
from gptexp.report.findings import state_findings
from gptexp.report.finish import Files, finish_files, finish_text
from gptexp.report.limits import rank_arms
from gptexp.report.page import TEMPLATES, Page, StudySection, list_facts, list_shared_config, render_page
from gptexp.report.provenance import build_manifest, list_entries
from gptexp.report.side_by_side import Wanted, make_sections
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
    instances = _select(frames, runs_dir, studies, scales)
    made = (
        _make_chapters(report, instances, runs_dir) if report.chapters else _make_sections(report, instances, processes)
    )
    if not made.sections:
        raise GptexpError(f"none of the studies that the report {report.name!r} shows has runs in {runs_dir}")
    shown = [*(section.instance for section in made.sections), *made.behind]
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
    every_id = list(dict.fromkeys(run_id for instance in shown for run_id in instance.run_ids))
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
    behind: list[Instance] = field(default_factory=list)
    """Instances without a section that claims are judged by."""
    others: list[str] = field(default_factory=list)


def _make_sections(report: Report, instances: Sequence[Instance], processes: Processes) -> _Made:
    """One section per study instance, each with its parts."""
    made = _Made([])
    matched = _match_sections(report, instances)
    wanted = [Wanted(instance, _make_slug(instance), section.parts) for section, instance in matched]
    for (section, instance), one, parts in zip(matched, wanted, make_sections(wanted, processes), strict=True):
        blocks = [block for block, _ in parts]
        for _, files in parts:
            made.files.update(files)
        made.blocks += blocks
        lead = instance.question if section.lead is None else section.lead
        title = section.title or instance.study
        made.sections.append(_make_section(instance, one.slug, title, lead, blocks))
    return made


def _make_chapters(report: Report, instances: Sequence[Instance], runs_dir: Path) -> _Made:
    """The chapters and claims; its sections say which studies stand behind them."""
    chosen, others = choose_instances(instances, report.studies)
    judgements = judge_claims(load_ledger(report.ledger).claims, instances) if report.ledger else []
    by_name = {judgement.claim.name: judgement for judgement in judgements}
    chapters, files, blocks = build_chapters(report.chapters, chosen, runs_dir, by_name)
    sections = [_make_section(one, f"study-{_make_slug(one)}", one.study, one.question, []) for one in chosen.values()]
    made = _Made(sections, files, blocks, chapters, others=others)
    if judgements:
        _add_ledger(made, judgements)
        used = {one.source.instance for judgement in judgements for one in judgement.every}
        own = {one.key for one in chosen.values()}
        made.behind = [one for one in instances if one.key in used - own]
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


def _make_section(instance: Instance, slug: str, title: str, lead: str, blocks: Sequence[Block]) -> StudySection:
    return StudySection(
        slug=slug,
        title=title,
        lead=lead,
        instance=instance,
        facts=list_facts(instance),
        findings=tuple(state_findings(instance)),
        blocks=tuple(blocks),
        shared_config=list_shared_config(instance),
    )


def _describe_file(path: str, content: str | bytes, blocks: Sequence[Block], run_ids: list[str]) -> dict[str, Any]:
    """The manifest's line of a file; one that belongs to no part stands on all runs."""
    for block in blocks:
        if path in dict(block.files).values():
            about = {"title": block.part.title, "instance": block.instance or None, "run_ids": list(block.part.run_ids)}
            return {"path": path, **about, "sha256": hash_content(content)}
    return {"path": path, "sha256": hash_content(content), "run_ids": run_ids}


def _select(
    frames: Frames, runs_dir: Path, studies: Sequence[str] | None, scales: Sequence[str] | None
) -> list[Instance]:
    """The instances asked for.

    Raises:
        GptexpError: there are none; the message says what there is.
    """
    instances = select_instances(frames, studies, scales)
    if instances:
        return [rank_arms(instance) for instance in instances]
    every = select_instances(frames)
    if not runs_dir.is_dir():
        raise GptexpError(f"there is no folder {runs_dir}; --runs-dir takes the folder that `gptexp run` records in")
    if not every:
        raise GptexpError(
            f"there are no runs of a study in {runs_dir} yet; {advise('gptexp run lr-ablation', runs_dir)} makes some"
        )
    wanted = " ".join([*(studies or ["any study"]), *(f"at scale {scale}" for scale in scales or [])])
    there = ", ".join(instance.key for instance in every)
    raise GptexpError(f"{runs_dir} holds no runs of {wanted}; it holds {there}")


def _match_sections(report: Report, instances: Sequence[Instance]) -> list[tuple[Section, Instance]]:
    """Each section with the instances that it shows, in the order of the report."""
    named = {section.study for section in report.sections}
    return [
        (section, instance)
        for section in report.sections
        for instance in instances
        if section.study == instance.study or (section.study == EVERY_STUDY and instance.study not in named)
    ]


def _make_slug(instance: Instance) -> str:
    """A name for files and ids that no other instance has: `lr-ablation-quick`, with a hash behind it for variants."""
    plain = f"{instance.study}-{instance.scale}"
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "study"
    if instance.variant == "{}" and slug == plain:
        return slug
    return f"{slug}-{hash_content(instance.key)[:6]}"
