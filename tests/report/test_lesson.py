"""The lesson's bundle, from made-up run folders."""

from __future__ import annotations

import hashlib
import html
import json
import re
from pathlib import Path

import pytest

from gptexp.report.build import build_report, load_report
from gptexp.report.declare import Chapter, Sentences
from gptexp.runs.frames import load_frames
from tests.report.ledger_numbers import measured_numbers, stated_numbers
from tests.report.lesson_runs import lesson_runs
from tests.report.numerals import find_unfounded, read_numerals
from tests.report.synthetic import Run, append_member, lr_ablation, write_runs
from tests.report.test_build import read_page
from tests.studies.tiny import make_job, run_tiny

pytestmark = pytest.mark.slow
FIGURE_FILES = (".svg", "-narrow.svg", ".png", ".csv", ".json", ".txt")
TABLE_FILES = (".html", ".md", ".csv", ".json")


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_runs(folder, lesson_runs())
    return folder


@pytest.fixture(scope="module")
def out(runs_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report("lesson", runs_dir=runs_dir, out=tmp_path_factory.mktemp("lesson") / "out").page.parent


@pytest.fixture(scope="module")
def page(out: Path) -> str:
    """The evidence."""
    return (out / "evidence.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lesson(out: Path) -> str:
    """The page for readers."""
    return (out / "index.html").read_text(encoding="utf-8")


def test_same_records_give_the_same_bytes(runs_dir: Path, out: Path, tmp_path: Path) -> None:
    """A second bundle from the same records equals the first in every file, pictures too."""
    again = build_report("lesson", runs_dir=runs_dir, out=tmp_path / "again").page.parent
    first = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    second = {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}
    assert first.keys() == second.keys()
    assert [str(path) for path in first if first[path] != second[path]] == []


def test_the_bundle_has_every_form_of_every_piece(out: Path) -> None:
    """Each figure and table comes in all its forms, with claims, notes and a manifest; the page is under 3 MB."""
    names = {path.name.removesuffix("-narrow.svg") for path in (out / "figures").glob("*-narrow.svg")}
    wanted = {"schedule-explained", "constant-rates", "against-schedule", "clip-spike", "norm-distribution"}
    wanted |= {"pinned-samples", "scissors", "three-smoothings", "initial-loss"}
    assert wanted <= {re.sub(r"^(lr-ablation|clipping|text-milestones|initial-loss)-", "", name) for name in names}
    for name in names:
        for ending in FIGURE_FILES:
            assert (out / "figures" / f"{name}{ending}").stat().st_size > 0
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert re.search(r"\d", (out / "figures" / f"{name}.txt").read_text())
        assert json.loads((out / "figures" / f"{name}.json").read_text())["rows"]
    for path in (out / "tables").glob("*.md"):
        assert all(path.with_suffix(ending).stat().st_size > 0 for ending in TABLE_FILES)
    assert (out / "evidence.html").stat().st_size < 3_000_000
    assert (out / "index.html").stat().st_size < 600_000
    assert "figures/NAME.svg" in (out / "PASTING.md").read_text()
    assert ".gx-table" in (out / "pieces.css").read_text()


def test_the_readers_page_says_only_what_is_recorded_and_leads_to_it(lesson: str, page: str, runs_dir: Path) -> None:
    """Its numerals are in the frames; every number and figure leads to a place that the evidence has."""
    frames = load_frames(runs_dir)
    runs = frames.runs
    of_a_step = list(runs["batch_size"] * runs["grad_accum_steps"] * runs["block_size"])
    assert find_unfounded(lesson, frames, [*stated_numbers(), *measured_numbers(frames)], of_a_step) == []
    places = set(re.findall(r'href="evidence\.html#([^"]+)"', lesson))
    assert len(places) > 12
    assert places <= set(read_page(page).ids)
    figures = re.findall(r'class="block shown-\w+" id="([^"]+)"', lesson)
    assert len(figures) > 8
    assert set(figures) <= places
    assert re.search(r"\d+ minutes to read", lesson)
    assert read_page(lesson).ids


def test_answers_are_behind_their_questions(lesson: str) -> None:
    """What gives an answer away stands inside the details of its question."""
    outside = re.sub(r"<details.*?</details>", "", lesson, flags=re.DOTALL)
    for told in ('id="trace"', 'id="initial-loss-initial-loss"', 'id="lr-ablation-against-schedule"'):
        assert told in lesson
        assert told not in outside, told
    # The form that compares a guess has the answer, where nobody reads it.
    assert "10.825" in lesson
    assert "10.825" not in re.sub(r"<[^>]+>", "", outside)


def test_a_readers_page_without_runs_keeps_its_words(tmp_path: Path) -> None:
    """With one study of all, texts that lack a number give way, and no link leads nowhere."""
    write_runs(tmp_path / "runs", lr_ablation()[3:])
    out = build_report("lesson", runs_dir=tmp_path / "runs", out=tmp_path / "out").page.parent
    lesson = (out / "index.html").read_text()
    assert "Nobody has measured it here yet" in lesson
    places = set(re.findall(r'href="evidence\.html#([^"]+)"', lesson))
    assert places <= set(read_page((out / "evidence.html").read_text()).ids)
    assert "{" not in re.sub(r"<(style|script|svg|pre).*?</\1>", "", lesson, flags=re.DOTALL)


def test_every_numeral_is_in_the_frames(page: str, runs_dir: Path) -> None:
    """Every number that the page says is a recorded one, or a mean, extreme, gap, share or perplexity of some."""
    numerals = read_numerals(page)
    assert len(numerals) > 250
    assert sum("." in numeral.text for numeral in numerals) > 120
    frames = load_frames(runs_dir)
    assert find_unfounded(page, frames, [*stated_numbers(), *measured_numbers(frames)]) == []


def test_measured_estimates_are_on_the_page(tmp_path: Path, tiny_corpus: Path) -> None:
    """With weights at hand the val-loss loops report what the figure's data hold, and nothing else is added."""
    run_tiny(tmp_path / "runs", tiny_corpus, max_steps=30, lr=1e-2)
    job = make_job(tmp_path / "runs", tiny_corpus, max_steps=30, lr=1e-2)
    append_member(Path(job.run_dir), Run("scheduled", study="text-milestones"))
    page = build_report("lesson", runs_dir=tmp_path / "runs", out=tmp_path / "out").page
    rows = json.loads((page.parent / "figures" / "loader-estimates.json").read_text())["rows"]
    measured = [row[name] for row in rows for name in ("val_loss", "wrong", "right")]
    text = (page.parent / "evidence.html").read_text(encoding="utf-8")
    assert f"The wrong loop reports {rows[0]['wrong']:.3f}, the right one {rows[0]['right']:.3f}" in text
    frames = load_frames(tmp_path / "runs")
    assert find_unfounded(text, frames, [*stated_numbers(), *measured_numbers(frames)], [*measured, len(rows)]) == []


def test_a_planted_number_is_found(page: str, runs_dir: Path) -> None:
    """One digit changed in an answer, a headline, a table or a figure's description is no recorded number."""
    frames = load_frames(runs_dir)
    stated = [*stated_numbers(), *measured_numbers(frames)]
    for before in ('class="quote"', 'class="headline"', "<td", "<desc "):
        start = page.index(before, page.index('id="schedule"'))
        number = re.compile(r"(?<=[ >])\d+\.\d{3}(?=[ ,.;<])").search(page, start)
        assert number is not None
        wrong = f"{float(number[0]) + 0.417:.3f}"
        planted = page[: number.start()] + wrong + page[number.end() :]
        assert wrong in [numeral.text for numeral in find_unfounded(planted, frames, stated)], before


def test_every_quoted_number_leads_to_its_runs(page: str, runs_dir: Path) -> None:
    """Numbers in sentences are links to a run in the appendix, which has its seed, commit, corpus and command."""
    text = read_page(page)
    assert len(text.ids) == len(set(text.ids))
    assert set(text.targets) <= set(text.ids)
    quotes = re.findall(r'class="quote" href="#run-(\w+)" data-instance="([^"]+)" data-runs="([^"]+)"', page)
    assert len(quotes) > 12
    known = set(load_frames(runs_dir).runs["run_id"])
    for first, study, runs in quotes:
        assert first in known
        assert set(runs.split()) <= known
        assert "@quick" in study
    for run_id in known:
        row = page[page.index(f'id="run-{run_id}"') :].partition("</tr>")[0]
        for fact in ("0123456789", "A Test CPU", "86c4e6aa", "gptexp run", "batch_size=4"):
            assert fact in row


def test_the_manifest_says_it_for_machines(out: Path, runs_dir: Path) -> None:
    """Every file has its hash and runs; every run its config, seed, commit, hardware, corpus and command."""
    manifest = json.loads((out / "manifest.json").read_text())
    listed = {entry["path"] for entry in manifest["files"]} | {"manifest.json"}
    assert listed == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    for entry in manifest["files"]:
        assert hashlib.sha256((out / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]
        if entry["path"].startswith("figures/"):
            assert entry["run_ids"]
    for run in manifest["runs"].values():
        assert {"config", "seed", "commit", "hardware", "corpus_checksum", "command", "wandb_url"} <= run.keys()


def test_claims_about_the_model_have_values_and_no_verdict_at_another_scale(out: Path) -> None:
    """At quick scale a claim about the lesson's model is not measured; its value and direction stand beside it."""
    claims = json.loads((out / "claims.json").read_text())["claims"]
    by_name = {claim["name"]: claim for claim in claims}
    assert by_name["schedule-beats-constant"]["as_stated"] is True
    assert by_name["constant-6e-4-explodes"]["direction"].endswith("end at step 120, too early to tell")
    assert by_name["schedule-reaches-2"]["value"] is None
    for claim in claims:
        if claim["needs_scale"] == "lesson":
            assert claim["verdict"] == "not measured"
            assert claim["direction"]
            assert (claim["as_stated"] is None) or claim["run_ids"]
    assert sum(claim["as_stated"] is not None for claim in claims if claim["study"]) > 8


def shown(item: object) -> tuple[str, ...]:
    return item.claims if isinstance(item, Sentences) else ()


def test_the_page_shows_the_lessons_sentences_with_their_verdicts(page: str, out: Path) -> None:
    """What it asserts in the lesson's words stands in claims.json with the chapter; the ledger has a section."""
    claims = {claim["name"]: claim for claim in json.loads((out / "claims.json").read_text())["claims"]}
    assert claims["constant-6e-4-explodes"]["asserted_in"] == ["schedule", "moving-rate"]
    chapters = [chapter for chapter in load_report("lesson").chapters if isinstance(chapter, Chapter)]
    said = [name for chapter in chapters for item in chapter.items for name in shown(item)]
    assert page.count('class="saying ') == len(said) > 10
    assert all(claims[name]["asserted_in"] for name in said)
    assert claims["val-loop-repeats-one-batch"]["asserted_in"] == ["validation", "full-loop"]
    assert "explodes at step 300”" in page
    section = html.unescape(re.sub("<[^>]+>", "", page[page.index('id="lesson-claims"') :]))
    for claim in claims.values():
        assert claim["says"].replace("`", "") in section


def test_hostile_samples_show_as_text(page: str, out: Path) -> None:
    """Markup, CDATA ends, escapes, direction marks, NUL, braces and 10,000 characters are text in every file."""
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; ]]&gt;" in page
    assert "\ufffd[31mred\ufffd[0m" in page
    assert "[U+202E]reversed[U+202C]" in page
    assert page.count("word word word") > 1
    for path in out.rglob("*"):
        if path.is_file() and path.suffix != ".png":
            text = path.read_text(encoding="utf-8")
            assert not re.search("[\x00\x1b\u202e]", text), path
            if path.suffix in (".html", ".svg"):
                assert "<script>alert" not in text, path
    fragment = (out / "tables" / "text-milestones-samples.html").read_text()
    assert "&#123;1+1&#125;" in fragment


def test_a_page_without_most_studies_says_what_is_missing(tmp_path: Path) -> None:
    """With one study of four, the others are named with the command that makes them, and no number is invented."""
    runs = lr_ablation()[3:]
    write_runs(tmp_path / "runs", runs)
    out = build_report("lesson", runs_dir=tmp_path / "runs", out=tmp_path / "out").page.parent
    page = (out / "evidence.html").read_text()
    for study in ("clipping", "initial-loss", "text-milestones"):
        assert f"gptexp run {study}" in page
        assert not list((out / "figures").glob(f"{study}-*"))
    assert "Constant learning rates” is missing" in page
    verdicts = {claim["verdict"] for claim in json.loads((out / "claims.json").read_text())["claims"]}
    assert "not measured" in verdicts
    frames = load_frames(tmp_path / "runs")
    assert find_unfounded(page, frames, [*stated_numbers(), *measured_numbers(frames)]) == []


def test_five_seeds_widen_to_ranges(tmp_path: Path) -> None:
    """With several seeds numbers become means with their lowest and highest, and the curves bands; one arm diverged."""
    runs = lr_ablation(seeds=5)
    runs[0].diverge_at = 70
    write_runs(tmp_path / "runs", runs)
    out = build_report("lesson", runs_dir=tmp_path / "runs", out=tmp_path / "out").page.parent
    page = (out / "evidence.html").read_text()
    assert re.search(r"constant 1e-5 at [^<]*|\d\.\d{3} \(\d\.\d{3}–\d\.\d{3}\)", page)
    assert "its 95% interval as a band" in page
    assert "diverged at step 70" in page
    assert "1 of 5 seeds (4 ended too early to tell)" in page[page.index('class="saying ') :]
