"""The pictures of the notebook, in the style of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gptexp.errors import GptexpError
from gptexp.measures.curves import centred_mean, choose_smoothing_window
from gptexp.report.exhibits import Source, find_exhibit
from gptexp.report.figures.axes import Axis, make_loss_axis, make_rate_axis, make_step_axis
from gptexp.report.figures.canvas import WIDE, Drawing
from gptexp.report.figures.legend import THRESHOLD, Key
from gptexp.report.figures.marks import DASHED, Line, Look, Mark, Words, ring_dots, rule, style_line
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import MUTED, style_arm
from gptexp.report.svg import drawing_style, render_png
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from gptexp.wording import write_rate

LOW_PANEL = (220, 220)
"""Height of a panel that shows one simple line, in pixels."""


@dataclass(frozen=True)
class Picture:
    """A drawn figure as a notebook shows it, and in words for those who don't see it."""

    png: bytes = field(repr=False)
    words: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        # Drawn with two pixels for each of the page.
        return {"image/png": self.png, "text/plain": self.words}, {"image/png": {"width": WIDE.width}}


def plot_rates(rates: Sequence[float]) -> Picture:
    """The learning rate of steps 1, 2, ... against the step."""
    line = Line(np.arange(1, len(rates) + 1), rates, style_line(style_arm(0)))
    panel = Panel([line], make_step_axis(len(rates)), make_rate_axis(1.06 * max(rates)))
    peak = 1 + int(np.argmax(rates))
    words = f"{write_rate(rates[0])} at step 1, highest at step {peak}, {write_rate(rates[-1])} at the end."
    return _paint(lambda: draw_plot(Plot([panel], height=LOW_PANEL, left=66), WIDE), f"Learning rate: {words}")


def plot_losses(
    history: Mapping[str, Sequence[float]], evals: Mapping[int, float], rules: Mapping[str, float]
) -> Picture:
    """Train and val loss against the step.

    Args:
        history: `step` and `train_loss`, one entry per step.
        evals: step -> val loss.
        rules: what to compare with -> its loss.
    """
    steps, losses = history["step"], history["train_loss"]
    window = choose_smoothing_window(len(steps))
    smooth = centred_mean(losses, window)
    raw, thick = Look(style_arm(0).colour, 0.8, alpha=0.35), style_line(style_arm(0))
    dots = ring_dots(style_arm(1).colour, size=6.5)
    marks: list[Mark] = [Line(steps, losses, raw), Line(steps, smooth, thick, z=3)]
    for name, loss in rules.items():
        marks.append(rule(loss, Look(MUTED, 1, DASHED)))
        marks.append(Words(steps[-1], loss, name, (0, 4), "right", "bottom", MUTED))
    marks.append(Line(list(evals), list(evals.values()), dots, z=6, overlap=True))
    keys = [Key("train, each step", raw), Key(f"train, mean of {window} steps", thick), Key("val", dots)]
    axis = make_loss_axis([*losses, *evals.values(), *rules.values()], 0.04, "nats per token")
    plot = Plot([Panel(marks, make_step_axis(steps[-1]), axis)], keys)
    words = f"Train loss from {losses[0]:.3f} to {smooth[-1]:.3f}."
    words += "".join(f" Val loss {loss:.3f} at step {step}." for step, loss in list(evals.items())[-1:])
    return _paint(lambda: draw_plot(plot, WIDE), words)


def plot_norms(history: Mapping[str, Sequence[float]], threshold: float) -> Picture:
    """The gradient's norm before clipping against the step, and the threshold at which it is clipped.

    Args:
        history: `step` and `grad_norm`, one entry per step.
    """
    norms = np.array(history["grad_norm"], dtype=float)
    look = Look(style_arm(2).colour, 1.1)
    marks: list[Mark] = [Line(history["step"], norms, look), rule(threshold, THRESHOLD.look, z=5)]
    low, high = min(norms.min(), threshold), max(norms.max(), threshold)
    axis = Axis(low / 1.25, high * 1.25, "gradient norm (L2)", scale="log")
    panel = Panel(marks, make_step_axis(history["step"][-1]), axis)
    plot = Plot([panel], [Key("before clipping", look), THRESHOLD], height=LOW_PANEL)
    words = f"Gradient norm: median {np.median(norms):.2f}, largest {norms.max():.2f}; above {threshold:g} in "
    return _paint(lambda: draw_plot(plot, WIDE), f"{words}{(norms > threshold).sum()} of {norms.size} steps.")


def show_study(runs: pd.DataFrame, figure: str, runs_dir: str | Path) -> Picture:
    """A figure of the report, of a study's recorded runs.

    Args:
        runs: what `gptexp.run_study` gave: the rows of one study.
        figure: its name in a report file, such as `loss-curves` or `clip-spike`.
        runs_dir: the folder in which the runs are recorded.

    Raises:
        GptexpError: no such figure, or runs that it can't be drawn from.
    """
    make = find_exhibit(figure)
    frames = load_frames(Path(runs_dir), set(runs["run_id"]))
    studies = select_studies(frames, sorted(set(runs["study"])))
    drawing = make(Source(studies[0])) if studies else None
    if not isinstance(drawing, Drawing):
        raise GptexpError(f"these {len(runs)} runs give no figure {figure!r}; run the study first")
    return _paint(lambda: drawing.draw(WIDE), f"{drawing.title}. {drawing.description}")


def _paint(draw: Callable[[], Figure], words: str) -> Picture:
    with drawing_style():
        return Picture(render_png(draw()), words)
