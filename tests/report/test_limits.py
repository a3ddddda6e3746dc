"""A large study stays a page that can be read, and what it costs grows with it and not faster."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from gptexp.comparisons.differences import choose_reference
from gptexp.records import SampleRecord
from gptexp.report.build import build_report
from gptexp.report.exhibits import EXHIBITS, Source
from gptexp.report.figures.canvas import Drawing
from gptexp.report.findings import state_findings
from gptexp.report.limits import MOST_ARMS, MOST_ROWS, choose_arms, cut_rows, rank_arms, share_styles
from gptexp.report.provenance import list_entries
from gptexp.report.samples import SampleGrid
from gptexp.report.tables import Table
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from tests.bench.many_arms import write_many_arms
from tests.report.every_exhibit import make_contents
from tests.report.synthetic import Run, append_member, lr_ablation, write_runs

ARMS = 60


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> StudyRuns:
    """A study of sixty arms."""
    folder = tmp_path_factory.mktemp("wide")
    write_many_arms(folder, ARMS, 20)
    (study,) = select_studies(load_frames(folder))
    return rank_arms(study)


def test_the_shown_arms_are_the_best_and_the_reference(wide: StudyRuns) -> None:
    """Of sixty arms 28 are shown: the first, the reference, the lowest; each with a style of its own."""
    shown = choose_arms(wide)
    assert len(shown) == MOST_ARMS
    names = {arm.name for arm in shown}
    assert {wide.arms[0].name, choose_reference(wide.arms).name} <= names
    ends = {arm.name: arm.runs["final_val_loss"].mean() for arm in wide.arms}
    assert min(ends, key=ends.__getitem__) in names
    assert max(ends, key=ends.__getitem__) not in names
    assert {arm.index for arm in shown} == set(range(MOST_ARMS))
    assert sorted(arm.index for arm in wide.arms) == list(range(ARMS))
    assert choose_reference(wide.arms).index < MOST_ARMS


def test_parts_say_what_they_leave_out(wide: StudyRuns) -> None:
    """A part that shows each arm by itself shows 28 and says so; the table of the ends has all sixty."""
    parts = make_contents(wide)
    for name in ("loss-curves", "gradient-norm", "final-val-loss", "lr-schedules", "losses-at-steps", "samples"):
        part = parts[name]
        assert "Of 60 arms 28 are shown here" in part.caption, name
        if isinstance(part, Drawing):
            assert part.data["arm"].nunique() == MOST_ARMS
        if isinstance(part, SampleGrid):
            assert len(part.rows[0].samples) == MOST_ARMS
    results = parts["results"]
    assert isinstance(results, Table)
    assert len(results.rows) == ARMS
    assert "are shown here" not in results.caption


def test_long_tables_are_cut_and_say_so(wide: StudyRuns) -> None:
    """The page shows the first rows, the CSV all."""
    table = EXHIBITS["results"](Source(wide))
    assert isinstance(table, Table)
    assert cut_rows(table) is table
    long = cut_rows(Table(**{**vars(table), "rows": table.rows * 10}))
    assert len(long.rows) == MOST_ROWS
    assert "The first 400 of 600 rows; the CSV has all." in long.caption


def test_few_arms_stay_as_they_are(tmp_path: Path) -> None:
    """Up to 28 arms nothing is left out, renumbered or said."""
    write_many_arms(tmp_path, MOST_ARMS, 20)
    (study,) = select_studies(load_frames(tmp_path))
    assert rank_arms(study) is study
    for part in make_contents(study, "loss-curves", "samples").values():
        assert "are shown here" not in part.caption


def test_runs_have_one_style_on_a_page(tmp_path: Path) -> None:
    """A study of one arm whose runs answer another study's arm, too, shows them in that arm's style."""
    runs = lr_ablation()
    write_runs(tmp_path, [*runs, Run("alone", study="other")])
    for run in runs:
        if run.arm == "warmup-cosine":
            again = replace(run, study="text-milestones", arm="scheduled", asked_at="2025-01-02T00:00:00Z")
            append_member(tmp_path / run.run_id, again)
    found = {study.name: study for study in share_styles(select_studies(load_frames(tmp_path)))}
    styles = {arm.name: arm.index for arm in found["lr-ablation"].arms}
    assert styles["warmup-cosine"] > 0
    assert [arm.index for arm in found["text-milestones"].arms] == [styles["warmup-cosine"]]
    assert [arm.index for arm in found["other"].arms] == [0]


TEXT = "To be, or not to be, that is the question\n" * 120_000


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs folder with two runs, one of which wrote 5 MB; so did whoever named things."""
    folder = tmp_path_factory.mktemp("talkative") / "runs"
    runs = [Run(arm, arm, 1, {"max_steps": 20, "sample_prompt": arm}, study="long") for arm in ("a", "b")]
    runs[0].samples = [SampleRecord(20, "final", None, 3.0, "A", "A" + TEXT)]
    runs[1].samples = [SampleRecord(20, "final", None, 3.0, "A", "A word")]
    runs[1].label = "label " * 100_000
    runs[1].question = "why? " * 100_000
    runs[1].config["sample_prompt"] = "prompt " * 100_000
    write_runs(folder, runs)
    return folder


def test_a_text_of_five_megabytes_is_cut_on_the_page(talkative: Path, tmp_path: Path) -> None:
    """The page shows its start and says how much more there is; all files together stay small."""
    page = build_report(None, runs_dir=talkative, out=tmp_path / "out").page.read_text()
    assert f"[{len(TEXT) - 4_000:,} more characters]" in page
    assert "Of a very long text the start is shown" in page
    assert len(page) < 600_000
    table = (tmp_path / "out" / "tables" / "long-quick-samples.csv").read_text()
    assert f"[{len(TEXT) + 1 - 20_000:,} more characters]" in table
    files = [path for path in (tmp_path / "out").rglob("*.*") if path.name != "manifest.json"]
    assert sum(path.stat().st_size for path in files) < 3_000_000


def test_time_grows_with_the_arms_and_not_faster(tmp_path: Path) -> None:
    """Four times as many arms take at most seven times as long in processor time (sixteen, were it their square)."""
    names = ("results", "differences", "speed", "training", "lr-sensitivity", "lr-schedules", "losses-at-steps")
    took = []
    for n_arms in (12, 48):
        write_many_arms(tmp_path / f"{n_arms}", n_arms, 20)
        start = time.process_time()
        (study,) = select_studies(load_frames(tmp_path / f"{n_arms}"))
        make_contents(rank_arms(study), *names)
        state_findings(study)
        list_entries([study])
        took.append(time.process_time() - start)
    assert took[1] < 7 * took[0]
