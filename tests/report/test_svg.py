"""The look of figures."""

from __future__ import annotations

import subprocess
import sys

import seaborn as sns

from gptexp.report.svg import RC, TICKS


def test_the_style_is_seaborns() -> None:
    """What isn't set on purpose is as in its style "ticks", but for the colours of images, of which we have none."""
    theirs = {name: value for name, value in sns.axes_style("ticks").items() if name not in RC}
    assert theirs.pop("image.cmap") == "rocket"
    assert theirs == TICKS


def test_a_report_needs_no_seaborn() -> None:
    """Nor scipy.stats, which seaborn imports: together they take a second, in every process."""
    code = (
        "import sys, gptexp.report.side_by_side; print(sorted({'seaborn', 'scipy.stats', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
