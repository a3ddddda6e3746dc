"""The look of figures."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import seaborn as sns

from gptexp.report.svg import RC, TICKS
from tests.report.synthetic import lr_ablation, write_runs


def test_the_style_is_seaborns() -> None:
    """What isn't set on purpose is as in its style "ticks", but for the colours of images, of which we have none."""
    theirs = {name: value for name, value in sns.axes_style("ticks").items() if name not in RC}
    assert theirs.pop("image.cmap") == "rocket"
    assert theirs == TICKS


def test_a_report_needs_no_seaborn(tmp_path: Path) -> None:
    """Nor scipy.stats, which seaborn imports: together they take a second, in every process."""
    write_runs(tmp_path / "runs", lr_ablation(seeds=2, max_steps=30))
    code = f"""
import sys
from pathlib import Path
from gptexp.report.build import build_report
build_report(None, runs_dir=Path({str(tmp_path / "runs")!r}), out=Path({str(tmp_path / "out")!r}))
print(sorted({{"seaborn", "scipy.stats", "torch"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_processes_start_before_anything_slow_is_imported() -> None:
    """Each takes two seconds to import what this one imports meanwhile."""
    code = "import sys, gptexp.cli.report, gptexp.report.workers; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pandas", "matplotlib", "pydantic", "torch"} & set(ast.literal_eval(done.stdout))
