"""The pictures of the notebook, in the style of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.errors import GptexpError
from gptexp.measures.curves import centred_mean, choose_smoothing_window
from gptexp.report.figures.canvas import WIDE, Drawing, format_axis, format_step_axis, start_panels
from gptexp.report.figures.legend import Key, make_line
from gptexp.report.palette import ALERT, MUTED, PAPER, style_arm
from gptexp.report.parts import make_parts
from gptexp.report.svg import drawing_style, render_png
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from gptexp.wording import write_rate


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

    def draw() -> Figure:
        figure, (ax,) = start_panels(WIDE, height=220, left=66)
        ax.plot(np.arange(1, len(rates) + 1), rates, color=style_arm(0).colour, lw=2)
        format_step_axis(ax, len(rates))
        ax.set_ylim(0, 1.06 * max(rates))
        ax.yaxis.set_major_formatter(lambda value, _: write_rate(value))
        ax.set_ylabel("learning rate")
        return figure

    peak = 1 + int(np.argmax(rates))
    words = (
        f"Learning rate: {write_rate(rates[0])} at step 1, highest at step {peak}, {write_rate(rates[-1])} at the end."
    )
    return _paint(draw, words)


def plot_losses(
    history: Mapping[str, Sequence[float]], evals: Mapping[int, float], lines: Mapping[str, float]
) -> Picture:
    """Train and val loss against the step.

    Args:
        history: `step` and `train_loss`, one entry per step.
        evals: step -> val loss.
        lines: what to compare with -> its loss.
    """
    window = choose_smoothing_window(len(history["step"]))
    smooth = centred_mean(history["train_loss"], window)
    style, other = style_arm(0), style_arm(1)

    def draw() -> Figure:
        hollow: dict[str, Any] = {"marker": "o", "ms": 6.5, "mfc": PAPER, "mec": other.colour, "mew": 1.6}
        keys = [
            Key("train, each step", Line2D([], [], color=style.colour, lw=0.9, alpha=0.5)),
            Key(f"train, mean of {window} steps", make_line(style)),
            Key("val", Line2D([], [], color=other.colour, lw=0, ls="none", **hollow)),
        ]
        figure, (ax,) = start_panels(WIDE, keys=keys)
        ax.plot(history["step"], history["train_loss"], color=style.colour, lw=0.8, alpha=0.35)
        ax.plot(history["step"], smooth, color=style.colour, lw=2)
        ax.plot(list(evals), list(evals.values()), ls="none", zorder=6, clip_on=False, **hollow)
        for name, loss in lines.items():
            ax.axhline(loss, color=MUTED, lw=1, ls=(0, (4, 3)))
            ax.annotate(
                name, (1, loss), xycoords=("axes fraction", "data"), xytext=(0, 4), textcoords="offset points",
                ha="right", color=MUTED,
            )  # fmt: skip
        format_step_axis(ax, history["step"][-1])
        format_axis(ax, "y")
        ax.set_ylabel("loss (nats per token)")
        return figure

    words = f"Train loss from {history['train_loss'][0]:.3f} to {smooth[-1]:.3f}."
    words += "".join(f" Val loss {loss:.3f} at step {step}." for step, loss in list(evals.items())[-1:])
    return _paint(draw, words)


def plot_norms(history: Mapping[str, Sequence[float]], threshold: float) -> Picture:
    """The gradient's norm before clipping against the step, and the threshold at which it is clipped.

    Args:
        history: `step` and `grad_norm`, one entry per step.
    """
    norms = np.array(history["grad_norm"], dtype=float)

    def draw() -> Figure:
        keys = [
            Key("norm before clipping", make_line(style_arm(2), lw=1.2)),
            Key("threshold", Line2D([], [], color=ALERT, lw=1.4, ls=(0, (4, 3)))),
        ]
        figure, (ax,) = start_panels(WIDE, height=220, keys=keys)
        ax.plot(history["step"], norms, color=style_arm(2).colour, lw=1)
        ax.axhline(threshold, color=ALERT, lw=1.4, ls=(0, (4, 3)))
        ax.set_yscale("log")
        format_step_axis(ax, history["step"][-1])
        format_axis(ax, "y", log=True)
        ax.set_ylabel("gradient norm")
        return figure

    words = f"Gradient norm: median {np.median(norms):.2f}, largest {norms.max():.2f}; above {threshold:g} in "
    return _paint(draw, f"{words}{(norms > threshold).sum()} of {norms.size} steps.")


def show_study(runs: pd.DataFrame, part: str, runs_dir: str | Path) -> Picture:
    """A figure of the report, of a study's recorded runs.

    Args:
        runs: what `gptexp.run_study` gave: the rows of one study.
        part: the figure's name in a report file, such as `loss-curves` or `clip-spike`.
        runs_dir: the folder in which the runs are recorded.

    Raises:
        GptexpError: no such figure, or runs that it can't be drawn from.
    """
    frames = load_frames(Path(runs_dir), set(runs["run_id"]))
    drawn = [
        made
        for study in select_studies(frames, sorted(set(runs["study"])))[:1]
        for made in make_parts(study, (part,))
        if isinstance(made, Drawing)
    ]
    if not drawn:
        raise GptexpError(f"these {len(runs)} runs give no figure {part!r}; run the study first")
    return _paint(lambda: drawn[0].draw(WIDE), f"{drawn[0].title}. {drawn[0].description}")


def _paint(draw: Callable[[], Figure], words: str) -> Picture:
    with drawing_style():
        return Picture(render_png(draw()), words)
