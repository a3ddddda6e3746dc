"""Builds a report: records to frames, frames to a document, a document to a folder of files."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from gptexp.advice import advise
from gptexp.claims.describe import describe_ledger
from gptexp.claims.judge import judge_claims
from gptexp.claims.ledger import load_ledger
from gptexp.errors import GptexpError
from gptexp.processes import ALONE, Processes
from gptexp.report.bundle import MANIFEST, hash_content, write_bundle
from gptexp.report.chapters import Evidence, fill_chapters
from gptexp.report.declare import Report
from gptexp.report.document import CLAIMS, EVIDENCE, PAGE, BuiltExhibit, BuiltReport, Document, write_plain
from gptexp.report.facts import list_flag_rules, summarize
from gptexp.report.finish import Files, finish_files, finish_text
from gptexp.report.limits import share_styles
from gptexp.report.pieces.runtime import write_runtime
from gptexp.report.provenance import build_manifest, list_entries
from gptexp.report.reading import Sources, fill_reading
from gptexp.report.render import read_template, render_lesson, render_page, write_pieces_css
from gptexp.report.spike_forks import find_forks
from gptexp.runs.frames import Frames, load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from gptexp.studies.locate import load_declared
from gptexp.studies.scales import SCALES

DEFAULT_REPORT = "study"


def build_report(name: str | None, *, out: Path, **chosen: Any) -> BuiltReport:
    """Write the report called `name` (None: `study`) to the folder `out`; the other arguments are `make_report`'s.

    The folder gets `index.html` (of a report with a page for readers, and `evidence.html` with its chapters),
    `figures/` (SVG, PNG, CSV, JSON, alt text), `tables/` (HTML, Markdown, CSV, JSON), `code/`, `pieces/` (for React, to
    embed, for chart libraries), `manifest.json`, `pieces.css`, `PASTING.md` and, of a report with a ledger,
    `claims.json`. The same records give the same bytes.

    Raises:
        GptexpError: no such report, an error in its file, no runs to show, or `out` can't be written.
    """
    report = make_report(name, **chosen)
    write_bundle(out, report.files)
    return dataclasses.replace(report, page=out / PAGE)


def make_report(
    name: str | None,
    *,
    runs_dir: Path,
    studies: Sequence[str] | None = None,
    scales: Sequence[str] | None = None,
    run_ids: Collection[str] | None = None,
    frames: Frames | None = None,
    processes: Processes = ALONE,
) -> BuiltReport:
    """The report called `name` (None: `study`) from the records under `runs_dir`; nothing is written.

    Args:
        studies: only these studies; None takes all that the report names.
        scales: only these scales; None takes all.
        run_ids: only these runs; None takes all.
        frames: the records under `runs_dir` where they are read already.
        processes: those that make it together, of `gptexp.report.workers.start_processes`.

    Raises:
        GptexpError: no such report, an error in its file, or no runs to show.
    """
    declared = load_report(name or DEFAULT_REPORT)
    frames = load_frames(runs_dir, run_ids, processes) if frames is None else frames
    instances = _select(frames, runs_dir, studies, scales)
    chosen, left_out = choose_studies(instances, declared.studies)
    judgements = judge_claims(load_ledger(declared.ledger).claims, instances) if declared.ledger else []
    by_name = {judgement.claim.name: judgement for judgement in judgements}
    forks = find_forks(frames, instances)
    evidence = Evidence(instances, chosen, left_out, by_name, runs_dir, forks)
    chapters = fill_chapters(declared.chapters, evidence, processes)
    by_key = {study.key: study for study in instances}
    keys = [*(chapter.study_key for chapter in chapters if chapter.study_key), *(one.key for one in chosen.values())]
    shown = [by_key[key] for key in dict.fromkeys(keys)]
    if not shown:
        raise GptexpError(f"none of the studies that the report {declared.name!r} shows has runs in {runs_dir}")
    judged_by = {one.source.study_key for judgement in judgements for one in judgement.every}
    behind = [*shown, *(study for study in instances if study.key in judged_by and study.key not in keys)]
    behind += [fork for study in shown for fork in forks.get(study.key, ()) if fork.key not in keys]
    entries = list_entries(behind)
    exhibits = {item.slug: item for chapter in chapters for item in chapter.items if isinstance(item, BuiltExhibit)}
    document = Document(
        title=declared.title,
        lead=declared.lead,
        summary=summarize(shown, len(entries)),
        chapters=tuple(chapters),
        runs=tuple(entries),
        flag_rules=list_flag_rules(shown),
        damaged=frames.damaged.to_dict("records"),
        reading=fill_reading(declared, Sources(_name_studies(behind, chosen), exhibits, by_name)),
    )
    claims = describe_ledger(judgements, _find_places(document, by_name)) if judgements else None
    files = finish_files(_list_files(document, declared.name, claims))
    selection = {"studies": list(studies) if studies else None, "scales": list(scales) if scales else None}
    described = _describe_files(files, document, behind)
    manifest = build_manifest(declared.name, selection, described, behind, frames.damaged)
    files[MANIFEST] = finish_text(MANIFEST, write_plain(manifest))
    return BuiltReport(Path(PAGE), files, manifest, claims["claims"] if claims else [])


def _name_studies(shown: Sequence[StudyRuns], chosen: Mapping[str, StudyRuns]) -> dict[str, StudyRuns]:
    """By its name the instance of each study that a text for readers may quote: one whose runs the evidence lists."""
    others, _ = choose_studies(shown, [study.name for study in shown if study.name not in chosen])
    return {**others, **chosen}


def _find_places(document: Document, claims: Collection[str]) -> dict[str, list[str]]:
    """For each claim the chapters, and the parts of the page for readers, that assert it."""
    places = [(chapter.slug, chapter.asserts) for chapter in document.chapters]
    places += [(part.slug, part.asserts) for part in document.reading.parts] if document.reading else []
    return {name: list(dict.fromkeys(slug for slug, asserts in places if name in asserts)) for name in claims}


def load_report(name: str) -> Report:
    """The report that `reports/<name>.py` declares.

    Raises:
        GptexpError: there is none, or its file is wrong.
    """
    return load_declared("reports", "report", name, "REPORT", Report)


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


def _list_files(document: Document, report: str, claims: dict[str, Any] | None) -> Files:
    """Every file but the manifest."""
    return {
        **_list_pages(document),
        **{file.path: file.content for exhibit in document.exhibits for file in exhibit.files},
        **write_runtime(),
        "pieces.css": write_pieces_css(),
        "PASTING.md": read_template("PASTING.md").replace("{report}", report),
        **({CLAIMS: write_plain(claims)} if claims else {}),
    }


def _list_pages(document: Document) -> Files:
    if document.reading:
        return {PAGE: render_lesson(document), EVIDENCE: render_page(document)}
    return {PAGE: render_page(document)}


def _describe_files(files: Files, document: Document, studies: Sequence[StudyRuns]) -> list[dict[str, Any]]:
    """The manifest's lines; a file that belongs to no exhibit stands on all runs."""
    exhibits: dict[str, BuiltExhibit] = {file.path: one for one in document.exhibits for file in one.files}
    every_id = list(dict.fromkeys(run_id for study in studies for run_id in study.run_ids))
    lines = []
    for path, content in files.items():
        exhibit = exhibits.get(path)
        about = {"title": exhibit.title, "instance": exhibit.study_key or None} if exhibit else {}
        run_ids = list(exhibit.run_ids) if exhibit else every_id
        lines.append({"path": path, **about, "run_ids": run_ids, "sha256": hash_content(content)})
    return lines


def _select(
    frames: Frames, runs_dir: Path, studies: Sequence[str] | None, scales: Sequence[str] | None
) -> list[StudyRuns]:
    """The instances asked for.

    Raises:
        GptexpError: there are none; the message says what there is.
    """
    all_runs = select_studies(frames, studies, scales)
    if all_runs:
        return share_styles(all_runs)
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
