"""No figure ever shows an empty axis: with odd records it is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from gptexp.report.figures.canvas import NARROW, Drawing
from gptexp.report.svg import drawing_style
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from tests.report.every_exhibit import make_contents
from tests.report.lesson_runs import clipping, text_milestones, untrained
from tests.report.synthetic import Run, lr_ablation, write_runs


def make_odd_runs() -> dict[str, list[Run]]:
    diverged_at_once, no_samples, stopped = lr_ablation(), text_milestones(), clipping()
    diverged_at_once[0].diverge_at = 1
    diverged_at_once[3].diverge_at = 40
    no_samples[0].samples = []
    for run in stopped:
        run.stop_at = 3
    return {
        "one seed": lr_ablation(),
        "five seeds": lr_ablation(seeds=5, max_steps=60),
        "diverged at once": diverged_at_once,
        "all diverged": [Run("a", diverge_at=1), Run("b", diverge_at=2)],
        "untrained": untrained(1),
        "outlier, three seeds": clipping(seeds=3),
        "stopped after three steps": stopped,
        "samples": text_milestones(),
        "no samples": no_samples,
        "no evaluations": [Run("a", evals=False), Run("b", evals=False)],
        "one step": [Run("a", config={"max_steps": 1, "warmup_steps": 0}), Run("b", stop_at=1)],
    }


@pytest.mark.parametrize("name", make_odd_runs())
def test_every_axis_has_data(name: str, tmp_path: Path) -> None:
    """Whatever the records lack, each panel that is drawn holds at least one finite point, and says it in numbers."""
    write_runs(tmp_path, make_odd_runs()[name])
    (study,) = select_studies(load_frames(tmp_path))
    for part_name, part in make_contents(study).items():
        if not isinstance(part, Drawing):
            continue
        says_numbers = any(character.isdigit() for character in part.description)
        assert says_numbers, f"{part_name}: its description is read to who can't see it; name what it shows in numbers"
        assert len(part.data), f"{part_name}: return None where there is nothing to draw"
        with drawing_style():
            figure = part.draw(NARROW)
        panels = [ax for ax in figure.axes if ax.get_ylabel() != "perplexity"]
        assert panels, f"{part_name}: it has no panel"
        for ax in panels:
            title = ax.get_title(loc="left")
            assert holds_data(ax), f"{part_name}, panel {title!r}: leave out what has no finite point"


def holds_data(ax: Axes) -> bool:
    """Whether some line, bar or dot in data coordinates has a finite point."""
    lines = any(
        line.get_transform() == ax.transData and np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any()
        for line in ax.lines
    )
    return lines or any(patch.get_height() > 0 for patch in ax.patches if hasattr(patch, "get_height"))
