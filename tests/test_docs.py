"""Every example of docs/architecture.md works as it stands, and its picture is that of the code."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from gptexp.comparisons.read import read_quantity
from gptexp.report.exhibits import Source, find_exhibit
from gptexp.report.figures.canvas import NARROW, WIDE, Drawing
from gptexp.report.svg import drawing_style
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from tests.cli.conftest import Call, call
from tests.packages import install_package
from tests.report.lesson_runs import untrained
from tests.report.synthetic import lr_ablation, write_runs

__all__ = ["call"]
ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BLOCKS = {found[1]: found[2] for found in re.finditer(r"```python\n# (\S+)\n(.*?)```", PAGE, re.S)}
(PROJECT,) = map(tomllib.loads, re.findall(r"```toml\n(.*?)```", PAGE, re.S))
MODULES = PROJECT["tool"]["setuptools"]["py-modules"]
FILES = ("experiments/warmup_length.py", "reports/speed.py", "reports/ledger/mine.py")
"""Of the working directory."""
TINY = ("n_layer=1", "n_embd=16", "n_head=1", "block_size=8", "batch_size=2", "eval_steps=1", "sample_tokens=2")


@pytest.fixture
def study(tmp_path: Path) -> StudyRuns:
    write_runs(tmp_path / "runs", lr_ablation(2))
    (one,) = select_studies(load_frames(tmp_path / "runs"))
    return one


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples that are packages of somebody else, installed; and an empty place to work in."""
    site = tmp_path / "site"
    lines = [
        line
        for group, names in PROJECT["project"]["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in names.items()))
    ]
    modules = {name: BLOCKS[f"{name}.py"] for name in MODULES}
    install_package(site, PROJECT["project"]["name"], "\n".join(lines), modules)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def files(packages: None, tmp_path: Path) -> None:
    """And the examples that are files of the working directory."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(BLOCKS[name])


def test_the_page_has_these_examples() -> None:
    """One for each thing that can be added: a block that nobody runs would rot."""
    assert set(BLOCKS) == {*FILES, *(f"{name}.py" for name in MODULES)}


def test_the_table_of_what_can_be_added_has_every_entry_point() -> None:
    """Those of every registry in the code, and of each the examples show what isn't like another."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "gptexp").rglob("*.py"))
    groups = set(re.findall(r"""Registry\(\s*"[\w ]+",\s*"(gptexp\.\w+)\"""", code))
    assert groups == set(re.findall(r"\| `(gptexp\.\w+)` \|", PAGE))
    assert groups - set(PROJECT["project"]["entry-points"]) == {"gptexp.schedules", "gptexp.corpora"}


@pytest.mark.usefixtures("files")
def test_a_study(call: Call) -> None:
    """A file in experiments/ of the working directory is planned by its name."""
    rows = call("plan", "warmup-length", "--scale", "quick", "--corpus", "python-docs", "--json").json()
    assert {row["arm"] for row in rows} == {"warmup-0", "warmup-10", "warmup-100"}


@pytest.mark.usefixtures("packages")
def test_a_measure(study: StudyRuns, call: Call) -> None:
    """One entry, and claims can ask for it; the list of runs shows it."""
    found = read_quantity(study, f"{study.arms[0].name}:slowest_step")
    assert found is not None
    longest = study.steps_of(study.arms[0]).groupby("seed")["step_time_s"].max()
    assert found.values == longest.to_dict()
    listed = call("runs", "list", "--measure", "slowest_step", "--json").json()
    every = study.steps.groupby("run_id")["step_time_s"].max()
    assert {row["run_id"]: row["slowest_step"] for row in listed} == every.to_dict()


@pytest.mark.usefixtures("packages")
def test_a_figure(study: StudyRuns, tmp_path: Path) -> None:
    """It draws at both widths, its words are whole, every arm is named, and nothing is drawn of what isn't there."""
    make = find_exhibit("tokens-per-second")
    # As fast as a small model is: the numbers at the axis are wide.
    study.steps["tokens_per_sec"] = 40_000 + study.steps["step"]
    made = make(Source(study))
    assert isinstance(made, Drawing)
    with drawing_style():
        for layout in (WIDE, NARROW):
            figure = made.draw(layout)
            figure.draw_without_rendering()
            (ax,) = figure.axes
            drawn = [line for line in ax.lines if len(line.get_xdata()) == study.max_steps]
            assert len(drawn) == len(study.run_ids)
            assert ax.yaxis.label.get_window_extent().x0 >= 0
            texts = [text.get_text() for text in (*figure.texts, *ax.texts)]
            assert all(any(arm.label in text for text in texts) for arm in study.arms)
    write_runs(tmp_path / "untrained", untrained(1))
    assert make(Source(select_studies(load_frames(tmp_path / "untrained"))[0])) is None


@pytest.mark.usefixtures("files", "study")
def test_a_report(call: Call, tmp_path: Path) -> None:
    """A file in reports/ of the working directory is a page by its name, with the exhibits of other packages."""
    call("report", "speed")
    assert (tmp_path / "reports" / "out" / "speed" / "index.html").is_file()
    assert len(list(tmp_path.glob("reports/out/speed/figures/*tokens-per-second.png"))) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("packages")
def test_a_metric_and_an_optimizer(tmp_path: Path) -> None:
    """A run with both records the metric of every layer, and goes through frames by its name."""
    from gptexp.api import load_records
    from gptexp.config import build_config
    from gptexp.studies.execute import execute
    from gptexp.studies.plan import plan_runs
    from gptexp.studies.request import StudyRequest
    from gptexp.studies.scales import find_scale
    from gptexp.studies.study import Arm, Study

    fields = dict(pair.split("=") for pair in TINY)
    wanted = {**{name: int(value) for name, value in fields.items()}, "max_steps": 4, "metrics_interval": 2}
    study = Study("mine", "Does it run?", "", "", (Arm("a", "a", {"optimizer": "lion"}),))
    build_config({"optimizer": "lion"})
    overrides = {**wanted, "step_metrics": ["largest_weight"]}
    (item,) = plan_runs([StudyRequest(study, find_scale("quick"), 1, overrides, "python-docs")], tmp_path / "runs")
    item.run_dir.append_member(item.member())
    result = execute(replace(item.job("gptexp run mine")), [], lambda: False, pytest.fail)
    assert result.outcome == "completed"
    metrics = load_records("metrics", tmp_path / "runs")
    assert set(metrics["step"]) == {2, 4}
    assert "largest_weight/token_embedding" in set(metrics["name"])
    assert (metrics["value"] > 0).all()


@pytest.mark.slow
@pytest.mark.usefixtures("packages")
def test_a_tracker_and_a_launcher(tmp_path: Path) -> None:
    """Chosen by name on the command line; the tracker is told of every run."""
    settings = [part for pair in TINY for part in ("--set", pair)]
    command = [sys.executable, "-m", "gptexp", "run", "lr-ablation", "--scale", "quick", "--corpus", "python-docs"]
    options = ["--set", "max_steps=2", "--tracker", "printer", "--launcher", "one-by-one", "--no-report"]
    done = subprocess.run([*command, *settings, *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("completed") >= 4
    assert done.stdout.count("step 2") >= 4


@pytest.mark.usefixtures("files", "study")
def test_a_claim(call: Call) -> None:
    """A predicate over measures gets a verdict from runs, of any model where the claim says so."""
    (row,) = call("claims", "--ledger", "mine", "--json").json()
    assert row["verdict"] in ("confirmed", "refuted", "underpowered")


def test_the_picture_is_drawn_from_the_code() -> None:
    """Arrows are imports of today: `python docs/draw_architecture.py` makes it anew."""
    command = [sys.executable, "docs/draw_architecture.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_imports_go_down_only() -> None:
    """The contract of pyproject.toml: layers, every module in one, and no circle between siblings."""
    linter = str(Path(sys.executable).parent / "lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "2 kept, 0 broken" in done.stdout
