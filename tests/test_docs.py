"""Every example of docs/architecture.md works as it stands, and its picture is that of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gptexp.claims.judge import judge_claims
from gptexp.comparisons.read import read_quantity
from gptexp.measures.catalog import MEASURES
from gptexp.report.exhibits import EXHIBITS, Source, find_exhibit, of_arms
from gptexp.report.figures.canvas import NARROW, WIDE, Drawing
from gptexp.report.svg import drawing_style
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from gptexp.training.metrics import STEP_METRICS
from tests.cli.conftest import Call, call
from tests.packages import install_package
from tests.report.synthetic import lr_ablation, write_runs

__all__ = ["call"]
ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BLOCKS = {found[1]: found[2] for found in re.finditer(r"```python\n# (\S+)\n(.*?)```", PAGE, re.S)}
ENTRIES = "\n".join(re.findall(r"```toml\n(.*?)```", PAGE, re.S))
TINY = ("n_layer=1", "n_embd=16", "n_head=1", "block_size=8", "batch_size=2", "eval_steps=1", "sample_tokens=2")


def run_block(name: str) -> dict[str, Any]:
    """What a block defines."""
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[name], name, "exec"), names)  # our own page
    return names


@pytest.fixture
def study(tmp_path: Path) -> StudyRuns:
    write_runs(tmp_path / "runs", lr_ablation(2))
    (one,) = select_studies(load_frames(tmp_path / "runs"))
    return one


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples that are packages of somebody else, installed; and an empty place to work in."""
    site = tmp_path / "site"
    lines = re.sub(r'\[project\.entry-points\."([\w.]+)"\]', r"[\1]", ENTRIES).replace('"', "")
    modules = {name: BLOCKS[f"{name}.py"] for name in ("my_optimizers", "my_trackers", "my_launchers")}
    install_package(site, "mine", lines, modules)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    monkeypatch.chdir(tmp_path)


def test_the_page_has_these_examples() -> None:
    """One for each thing that can be added: a block that nobody runs would rot."""
    used = {"experiments/warmup_length.py", "measure", "figure", "metric", "claim"}
    assert set(BLOCKS) == used | {"my_optimizers.py", "my_trackers.py", "my_launchers.py"}


def test_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    """A file in experiments/ of the working directory is planned by its name."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "warmup_length.py").write_text(BLOCKS["experiments/warmup_length.py"])
    monkeypatch.chdir(tmp_path)
    rows = call("plan", "warmup-length", "--scale", "quick", "--corpus", "python-docs", "--json").json()
    assert {row["arm"] for row in rows} == {"warmup-0", "warmup-10", "warmup-100"}


def test_a_measure(study: StudyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry, and claims can ask for it."""
    monkeypatch.setitem(MEASURES, "slowest_step", run_block("measure")["slowest"])
    found = read_quantity(study, f"{study.arms[0].name}:slowest_step")
    assert found is not None
    longest = study.steps_of(study.arms[0]).groupby("seed")["step_time_s"].max()
    assert found.values == longest.to_dict()


def test_a_figure(study: StudyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """One function and one line; it draws at both widths."""
    monkeypatch.setitem(EXHIBITS, "tokens-per-second", of_arms(run_block("figure")["tokens_per_second"]))
    made = find_exhibit("tokens-per-second")(Source(study))
    assert isinstance(made, Drawing)
    with drawing_style():
        assert [len(made.draw(layout).axes[0].lines) for layout in (WIDE, NARROW)] == [len(study.run_ids)] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("packages")
def test_a_metric_and_an_optimizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with both records the metric of every layer, and goes through frames by its name."""
    from gptexp.api import load_records
    from gptexp.config import build_config
    from gptexp.studies.execute import execute
    from gptexp.studies.plan import plan_runs
    from gptexp.studies.scales import find_scale
    from gptexp.studies.study import Arm, Study, StudyRequest

    monkeypatch.setitem(STEP_METRICS, "largest_weight", run_block("metric")["measure_largest_weight"])
    fields = dict(pair.split("=") for pair in TINY)
    wanted = {**{name: int(value) for name, value in fields.items()}, "max_steps": 4, "metrics_interval": 2}
    study = Study("mine", "Does it run?", "", "", (Arm("a", "a", {"optimizer": "rmsprop"}),))
    build_config({"optimizer": "rmsprop"})
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


def test_a_claim(study: StudyRuns) -> None:
    """A predicate over measures gets a verdict from runs."""
    (judgement,) = judge_claims([run_block("claim")["claim"]], [study])
    assert judgement.verdict in ("confirmed", "refuted", "underpowered", "not measured")
    assert judgement.every


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
