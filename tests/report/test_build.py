"""The whole report, from run folders to the folder with the page. Built once for most tests: drawing is slow."""

from __future__ import annotations

import hashlib
import html
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from gptexp.errors import GptexpError
from gptexp.records import SampleRecord
from gptexp.report.build import build_report
from gptexp.runs.frames import load_frames
from tests.report.lesson_runs import clipping
from tests.report.numerals import find_unfounded
from tests.report.synthetic import Run, append_member, initial_loss, lr_ablation, warmup_by_decay, write_run, write_runs

HOSTILE = "\nKING:\n<script>alert('x')</script> ]]> &amp; \x1b[31mred\x1b[0m \u202ereversed\u202c \x00 \ud800 </pre>"
LONG = "\n" + "word " * 2000


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diverged arm, an outlier batch, hostile samples, three seeds of another study, a planned run, and damage."""
    folder = tmp_path_factory.mktemp("runs")
    runs = lr_ablation()
    runs[0].diverge_at = 70
    runs[0].config["grad_clip"] = None
    runs[2].config["outlier_at"] = 0.5
    runs[1].label = "constant 3e-4 <b>$\\frac{}$ | _x_"
    runs[3].samples = [
        SampleRecord(0, "initial", None, None, "\n", LONG),
        SampleRecord(60, "loss", 5.0, 4.9, "\n", HOSTILE),
        SampleRecord(120, "final", None, 3.1, "\n", "\nTo be"),
    ]
    several = lr_ablation(seeds=3, max_steps=60, study="several-seeds")[:6]
    several[0].diverge_at = 40
    planned = Run("constant-2e-4", "constant 2e-4", seed=1, asked_at="2025-01-01T00:00:01Z")
    write_runs(folder, [*runs, *several, *initial_loss(2)])
    (folder / planned.run_id).mkdir()
    append_member(folder / planned.run_id, planned)
    (folder / "0123456789ab").mkdir()
    (folder / "0123456789ab" / "config.json").write_text("{")
    return folder


@pytest.fixture(scope="module")
def out(runs_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "out"
    page = build_report(None, runs_dir=runs_dir, out=folder).page
    assert page == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def page(out: Path) -> str:
    return (out / "index.html").read_text(encoding="utf-8")


class Text(HTMLParser):
    """The text of a page and what its structure gives away."""

    VOID = frozenset({"meta", "link", "br", "path", "use", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [str(values["id"])] if "id" in values else []
        href = values.get("href") or ""
        self.targets += [href[1:]] if href.startswith("#") else []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def read_page(page: str) -> Text:
    parser = Text()
    parser.feed(page)
    return parser


def test_same_records_give_the_same_bytes(runs_dir: Path, out: Path, tmp_path: Path) -> None:
    """A second report from the same records equals the first in every file, wherever it is written."""
    build_report("study", runs_dir=runs_dir, out=tmp_path / "again")
    first = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = tmp_path / "again"
    second = {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}
    assert first.keys() == second.keys()
    assert [str(path) for path in first if first[path] != second[path]] == []


def test_the_page_needs_no_other_file(page: str) -> None:
    """No image, style sheet or script is loaded; whatever the page shows lies in it."""
    assert not re.search(r"<(img|iframe|object|embed)\b", page)
    assert not re.search(r"\b(src|srcset)=", page)
    assert not re.search(r"url\((?!#)", page)
    assert page.count("<script>") == 1
    assert not re.search(r"https?://(?!www\.w3\.org)", page)


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    """Several inlined figures share no id, and every reference inside the page has its target."""
    text = read_page(page)
    assert len(text.ids) == len(set(text.ids))
    assert set(text.targets) <= set(text.ids)


def test_hostile_samples_show_as_text(page: str, out: Path) -> None:
    """Markup, CDATA ends and direction marks become visible text; escapes, NUL and lone surrogates a replacement."""
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; ]]&gt; &amp;amp;" in page
    assert "\ufffd[31mred\ufffd[0m" in page
    assert "[U+202E]reversed[U+202C]" in page
    assert "\ufffd \ufffd" in page
    for path in out.rglob("*"):
        if path.is_file() and path.suffix != ".png":
            assert not re.search("[\x00\x1b\u202e]", path.read_text(encoding="utf-8")), path
    assert "word word word" in page


def test_hostile_labels_show_as_text(page: str, out: Path) -> None:
    """A label with markup or a half formula is drawn and written as it is."""
    assert "<b>$" not in page
    assert "&lt;b&gt;$\\frac{}$" in page
    markdown = (out / "tables" / "lr-ablation-quick-results.md").read_text()
    assert r"\<b" not in markdown
    assert r"&lt;b&gt;\$\\frac\{\}\$ \| \_x\_" in markdown


def test_nothing_is_called_nan(page: str) -> None:
    """Missing numbers show as a dash, never as nan or None."""
    shown = re.sub(r"(?s)<(style|script)\b.*?</\1>", "", page)
    words = " ".join(read_page(shown).parts)
    assert not re.search(r"\bnan\b|\bNaN\b|\bNone\b(?! of the)", words)


def test_a_diverged_arm_stays_in_every_comparison(page: str, out: Path) -> None:
    """The diverged arm is named with its step in the headline and the tables and ends in a cross in the figures."""
    assert 'constant <span class="nb">6e-4</span> diverged at step 70' in page
    assert "1 of 1 diverged (step 70)" in page
    steps = (out / "tables" / "lr-ablation-quick-losses-at-steps.md").read_text()
    assert "diverged" in steps
    svg = (out / "figures" / "lr-ablation-quick-loss-curves.svg").read_text()
    assert "diverged at step 70" in svg
    assert ">diverged<" in svg


def test_one_seed_is_a_direction_and_several_have_intervals(page: str, out: Path) -> None:
    """With one seed the page says so; with several the tables have mean and interval, and count survivors."""
    assert "One seed: a direction, no interval." in page
    assert "2 seeds, paired: intervals are those of the mean over seeds, at 95%." in page
    rows = json.loads((out / "tables" / "several-seeds-quick-results.json").read_text())["rows"]
    row = next(row for row in rows if row["arm"] == "constant-3e-4")
    assert f"<small>[{row['final_val_loss_low']:.3f}, {row['final_val_loss_high']:.3f}]</small>" in page
    assert "<small>1 of 2 seeds</small>" in page


def test_a_run_that_has_not_begun_is_a_warning(page: str) -> None:
    """A planned arm without records isn't left out silently."""
    assert '1 run not begun: constant <span class="nb">2e-4</span>, seed 1.' in page


def test_damage_is_listed(page: str) -> None:
    """A folder that can't be read is named with its reason."""
    assert "<code>0123456789ab</code>: config.json is damaged" in page


def test_every_figure_and_table_names_its_runs(page: str, out: Path, runs_dir: Path) -> None:
    """The manifest has the runs and the hash of every file; the page has an appendix row for every run."""
    manifest = json.loads((out / "manifest.json").read_text())
    known = set(load_frames(runs_dir).runs["run_id"])
    listed = {entry["path"] for entry in manifest["files"]} | {"manifest.json"}
    assert listed == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    for entry in manifest["files"]:
        assert entry["run_ids"]
        assert set(entry["run_ids"]) <= known
        assert hashlib.sha256((out / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]
    for run_id in known:
        assert f'id="run-{run_id}"' in page
        assert manifest["runs"][run_id]["command"].startswith("gptexp run")


def test_every_svg_is_well_formed_scalable_and_described(out: Path) -> None:
    """A viewBox and no fixed size, text as text, a title, a description with numbers, colours as variables only."""
    paths = sorted((out / "figures").glob("*.svg"))
    assert len(paths) == 2 * len(list((out / "figures").glob("*.csv")))
    for path in paths:
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        space = "{http://www.w3.org/2000/svg}"
        assert "viewBox" in root.attrib
        assert not {"width", "height"} & set(root.attrib)
        assert root.findtext(f"{space}title")
        assert re.search(r"\d", root.findtext(f"{space}desc") or "")
        assert root.findall(f".//{space}text")
        drawn = text[text.index("</style>") :]
        assert not re.search(r"(?:fill|stroke): ?#", drawn), path.name
        assert "prefers-color-scheme:dark" in text
        assert "data-theme" in text


def test_every_number_of_the_results_is_in_the_frames(out: Path, runs_dir: Path) -> None:
    """Each numeral in the results table is a mean, minimum, maximum, gap, perplexity or count of recorded values."""
    frames = load_frames(runs_dir)
    for study in ("lr-ablation", "several-seeds"):
        members = frames.members[frames.members["study"] == study].merge(frames.runs, on="run_id")
        pool: list[float] = [0.0]
        for _, rows in members.groupby("arm"):
            pool += [len(rows), *range(len(rows)), *rows["diverged_step"].dropna()]
            for column in ("final_val_loss", "final_val_bpb", "final_train_loss", "best_val_loss", "best_val_step"):
                values = rows[column].to_numpy(dtype=float)
                values = values[np.isfinite(values)]
                pool += [values.mean(), values.min(), values.max()] if values.size else []
                half = stats.t.ppf(0.975, 1) * values.std(ddof=1) / math.sqrt(2) if values.size == 2 else 0.0
                pool += [values.mean() - half, values.mean() + half] if values.size else []
        means = members[np.isfinite(members["final_val_loss"])].groupby("arm")["final_val_loss"].mean()
        pool += [math.exp(mean) for mean in means] + [mean - means.min() for mean in means]
        lines = (out / "tables" / f"{study}-quick-results.md").read_text().splitlines()[4:]
        numerals = [n for line in lines if line.startswith("|") for n in read_numerals(line.split("|", 2)[2])]
        assert len(numerals) > 20
        for numeral in numerals:
            digits = len(numeral.partition(".")[2])
            value = float(numeral.replace(",", ""))
            assert any(abs(value - known) <= 0.5000001 * 10**-digits for known in pool), (study, numeral)


def read_numerals(line: str) -> list[str]:
    return re.findall(r"\d[\d,]*(?:\.\d+)?", re.sub(r"_x_|\d+e-\d+", "", line))


def test_what_a_study_cannot_show_stands_first(page: str, out: Path) -> None:
    """Limits open their study's section, before any number of it, and the manifest holds them for machines."""
    section = page[page.index('id="several-seeds-quick"') :]
    box = section.index("What this study cannot show")
    assert box < section.index('class="headline"')
    studies = {study["instance"]: study for study in json.loads((out / "manifest.json").read_text())["studies"]}
    sentences = studies["several-seeds@quick"]["cannot_show"]
    assert sentences
    assert all(box < section.index(sentence) < section.index('class="headline"') for sentence in sentences)


def test_variants_expectations_and_commands_are_spelled_out(tmp_path: Path) -> None:
    """Pills of two variants differ, what was expected stands under the question, commands name every choice."""
    changed = Run("a", seed=8, config={"lr": 1e-3}, variant={"lr": 1e-3, "corpus": "my text.txt", "grad_clip": None})
    runs = [Run("a", seed=7), changed, Run("train", study="train", variant={"n_layer": 2})]
    for run in runs:
        run.hypothesis = "Nothing much happens."
    write_runs(tmp_path / "runs", [*runs, Run("a", seed=7, config={"lr": 2e-3}, variant={"lr": 2e-3})])
    page = build_report(None, runs_dir=tmp_path / "runs", out=tmp_path / "out").page
    text = page.read_text()
    pills = re.findall(r'<li><a href="#[^"]+">(.*?)</a>', text)
    assert len(pills) == len(set(pills)) == 5
    assert "<strong>Expected:</strong> Nothing much happens." in text
    commands = {run["repeat"] for run in json.loads((tmp_path / "out" / "manifest.json").read_text())["runs"].values()}
    assert commands == {
        "gptexp run lr-ablation --scale quick --corpus tinyshakespeare --seeds 1",
        "gptexp run lr-ablation --scale quick --corpus tinyshakespeare --seeds 1 --set lr=0.002",
        "gptexp run lr-ablation --scale quick --corpus 'my text.txt' --seeds 1 --set grad_clip=None --set lr=0.001",
        "gptexp train --scale quick --corpus tinyshakespeare n_layer=2 seed=1",
    }
    assert all(command in html.unescape(text) for command in commands)


def test_no_runs_is_one_sentence(tmp_path: Path) -> None:
    """Without runs, or without runs of the study asked for, the error says what there is."""
    with pytest.raises(GptexpError, match="no runs of a study"):
        build_report(None, runs_dir=tmp_path, out=tmp_path / "out")
    write_run(tmp_path, Run("a"))
    with pytest.raises(GptexpError, match=r"no runs of clipping; it holds lr-ablation@quick"):
        build_report(None, runs_dir=tmp_path, out=tmp_path / "out", studies=["clipping"])
    with pytest.raises(GptexpError, match="there is no report 'studdy'; did you mean study"):
        build_report("studdy", runs_dir=tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_without_evaluations_have_a_page(tmp_path: Path) -> None:
    """Missing evals leave the train loss to compare by and no figure of val losses."""
    runs = [Run("a", "arm a", evals=False), Run("b", "arm b", evals=False, floor=2.5, stop_at=12)]
    write_runs(tmp_path / "runs", runs)
    page = build_report(None, runs_dir=tmp_path / "runs", out=tmp_path / "out", studies=["lr-ablation"]).page
    text = page.read_text(encoding="utf-8")
    assert "arm a ends at train loss" in text
    assert "1 of 2 runs not finished" in text
    assert not list((tmp_path / "out" / "figures").glob("*final-val-loss*"))


@pytest.mark.slow
def test_every_numeral_of_a_page_over_seeds_is_in_the_frames(runs_dir: Path, page: str, tmp_path: Path) -> None:
    """Intervals, differences, p-values, areas and steps of the default page follow from the records, reckoned anew."""
    assert [(n.text, n.context) for n in find_unfounded(page, load_frames(runs_dir), [])] == []
    write_runs(tmp_path / "runs", [*clipping(seeds=3), *warmup_by_decay(seeds=3)])
    other = build_report(None, runs_dir=tmp_path / "runs", out=tmp_path / "out").page.read_text(encoding="utf-8")
    assert "warmup against no warmup, averaged over" in other
    assert [(n.text, n.context) for n in find_unfounded(other, load_frames(tmp_path / "runs"), [])] == []
