"""Builds a report: records to frames, frames to parts, parts to a folder."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import gptexp
from gptexp.analysis.frames import Frames, load_frames
from gptexp.analysis.instances import Instance, select_instances
from gptexp.errors import GptexpError, did_you_mean
from gptexp.report.bundle import MANIFEST, write_bundle
from gptexp.report.declare import EVERY_STUDY, Report, Section
from gptexp.report.figures.canvas import NARROW, WIDE, Drawing
from gptexp.report.findings import state_findings
from gptexp.report.markdown import write_markdown
from gptexp.report.page import Block, StudySection, list_facts, list_shared_config, render_page
from gptexp.report.parts import Part, make_parts
from gptexp.report.provenance import build_manifest, list_entries
from gptexp.report.samples import SampleGrid
from gptexp.report.svg import drawing_style, render_svg
from gptexp.report.tables import Table
from gptexp.studies.locate import find_files, load_object

DEFAULT_REPORT = "study"


def build_report(
    name: str | None,
    *,
    runs_dir: Path,
    out: Path,
    studies: Sequence[str] | None = None,
    scales: Sequence[str] | None = None,
) -> Path:
    """Write the report called `name` (None: `study`) from the records under `runs_dir` to the folder `out`.

    The folder gets `index.html`, `figures/` (SVG and CSV), `tables/` (CSV and Markdown) and `manifest.json`. The same
    records give the same bytes.

    Args:
        studies: only these studies; None takes all that the report names.
        scales: only these scales; None takes all.

    Returns:
        The path of `index.html`.

    Raises:
        GptexpError: no such report, an error in its file, no runs to show, or `out` can't be written.
    """
    report = load_report(name or DEFAULT_REPORT)
    frames = load_frames(runs_dir)
    chosen = _match_sections(report, _select(frames, runs_dir, studies, scales))
    if not chosen:
        raise GptexpError(f"none of the studies that the report {report.name!r} shows has runs in {runs_dir}")
    files: dict[str, str] = {}
    made: list[dict[str, Any]] = []
    sections = [_build_section(section, instance, files, made) for section, instance in chosen]
    instances = [instance for _, instance in chosen]
    page = render_page(
        title=report.title,
        lead=report.lead,
        sections=sections,
        entries=list_entries(instances),
        damaged=frames.damaged,
        version=gptexp.__version__,
    )
    run_ids = list(dict.fromkeys(run_id for instance in instances for run_id in instance.run_ids))
    made.insert(0, {"path": "index.html", "sha256": _hash(page), "run_ids": run_ids})
    files["index.html"] = page
    files[MANIFEST] = build_manifest(report.name, gptexp.__version__, made, instances, frames.damaged)
    write_bundle(out, files)
    return out / "index.html"


def load_report(name: str) -> Report:
    """The report that `reports/<name>.py` declares.

    Raises:
        GptexpError: there is none, or its file is wrong.
    """
    known = find_files("reports")
    if name not in known:
        raise GptexpError(f"there is no report {name!r}{did_you_mean(name, known)}")
    report = load_object(known[name], "REPORT")
    if not isinstance(report, Report):
        raise GptexpError(f"{known[name]}: REPORT is a {type(report).__name__}, expected gptexp.report.declare.Report")
    return report


def _select(
    frames: Frames, runs_dir: Path, studies: Sequence[str] | None, scales: Sequence[str] | None
) -> list[Instance]:
    """The instances asked for.

    Raises:
        GptexpError: there are none; the message says what there is.
    """
    instances = select_instances(frames, studies, scales)
    if instances:
        return instances
    every = select_instances(frames)
    if not every:
        raise GptexpError(f"there are no runs of a study in {runs_dir} yet; make some with `gptexp run lr-ablation`")
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


def _build_section(
    section: Section, instance: Instance, files: dict[str, str], made: list[dict[str, Any]]
) -> StudySection:
    """Make the parts of a section, adding their files to `files` and what they are to `made`."""
    slug = _make_slug(instance)
    blocks = []
    for part in make_parts(instance, section.parts):
        block, texts = _make_block(slug, part)
        for path, text in texts.items():
            files[path] = text
            made.append({"path": path, "title": part.title, "sha256": _hash(text), "run_ids": list(part.run_ids)})
        blocks.append(block)
    return StudySection(
        slug=slug,
        title=section.title or instance.study,
        lead=instance.question if section.lead is None else section.lead,
        instance=instance,
        facts=list_facts(instance),
        findings=tuple(state_findings(instance)),
        blocks=tuple(blocks),
        shared_config=list_shared_config(instance),
    )


def _make_block(section: str, part: Part) -> tuple[Block, dict[str, str]]:
    """A part with its place on the page, and its files by path."""
    slug = f"{section}-{part.name}"
    if isinstance(part, Drawing):
        svgs = []
        for layout in (WIDE, NARROW):
            with drawing_style():
                figure = part.draw(layout)
                prefix = f"{slug}-{layout.name}"
                svg = render_svg(figure, prefix=prefix, title=part.title, description=part.description)
            svgs.append((layout.name, svg))
        paths = {"SVG": f"figures/{slug}.svg", "narrow SVG": f"figures/{slug}-narrow.svg"}
        texts = dict(zip(paths.values(), (svg for _, svg in svgs), strict=True))
        paths["CSV"] = f"figures/{slug}.csv"
        texts[paths["CSV"]] = _write_csv(part.data)
        return Block("figure", slug, part, tuple(paths.items()), tuple(svgs)), texts
    paths = {"CSV": f"tables/{slug}.csv"}
    texts = {paths["CSV"]: _write_csv(part.data)}
    if isinstance(part, Table):
        paths["Markdown"] = f"tables/{slug}.md"
        texts[paths["Markdown"]] = write_markdown(part)
    kind = "samples" if isinstance(part, SampleGrid) else "table"
    return Block(kind, slug, part, tuple(paths.items())), texts


def _make_slug(instance: Instance) -> str:
    """A name for files and ids that no other instance has: `lr-ablation-quick`, with a hash behind it for variants."""
    plain = f"{instance.study}-{instance.scale}"
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "study"
    if instance.variant == "{}" and slug == plain:
        return slug
    return f"{slug}-{_hash(instance.key)[:6]}"


def _write_csv(data: pd.DataFrame) -> str:
    return data.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="backslashreplace")).hexdigest()
