"""The look of figures."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure

from gptexp.report.svg import drawing_style, render_png, render_svg
from tests.report.synthetic import lr_ablation, write_runs


def test_a_users_matplotlibrc_changes_no_figure() -> None:
    """The same drawing gives the same bytes, whatever the user has set for figures of their own."""

    def draw() -> tuple[str, bytes]:
        with drawing_style():
            figure = Figure(figsize=(2, 2), dpi=72)
            figure.add_subplot(title="a", xlabel="b").plot([1, 2], [2, 1], marker="o")
            return render_svg(figure, prefix="p", title="t", description="d"), render_png(figure)

    plain = draw()
    theirs: Any = {"axes.spines.left": False, "lines.linewidth": 9, "xtick.direction": "in", "font.family": "serif"}
    with matplotlib.rc_context(theirs):
        assert draw() == plain


@pytest.mark.parametrize("bad", ["\x00", "\x0c", "\x1b", "\ud800", "\ufffe", "\uffff", "\U0001ffff"])
def test_text_that_xml_can_t_hold_spoils_no_figure(bad: str) -> None:
    """A label, a title or a description with it is drawn without it; the SVG parses and is UTF-8."""
    with drawing_style():
        figure = Figure(figsize=(2, 2), dpi=72)
        ax = figure.add_subplot(title=f"a{bad}b", xlabel=f"c{bad}d")
        ax.text(0.5, 0.5, f"e{bad}f")
        svg = render_svg(figure, prefix="p", title=f"t{bad}", description=f"d{bad}")
        assert render_png(figure)[:4] == b"\x89PNG"
    texts = "".join(ElementTree.fromstring(svg.encode()).itertext())
    assert all(f"{a}\ufffd{b}" in texts for a, b in ("ab", "cd", "ef"))


def test_a_report_needs_no_seaborn(tmp_path: Path) -> None:
    """Nor scipy.stats, which seaborn imports: together they take half a second, in every process."""
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
