"""One learning rate schedule with its phases, and why each is there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gptexp.measures.curves import thin_curve
from gptexp.report.figures.canvas import Drawing, Layout, format_step_axis, start_panels
from gptexp.report.figures.notes import Note, draw_notes, measure_notes, pin
from gptexp.report.figures.schedules import read_curve
from gptexp.report.palette import INK, MUTED, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import write_count, write_rate

REASONS = {
    "warmup": "Random weights are fragile and AdamW's averages hold few gradients yet: start gentle.",
    "peak": "The highest rate that the training bears: large steps while there is much to learn.",
    "decay": "Near a good solution large steps jump around it: take smaller ones.",
}


@dataclass(frozen=True)
class Phase:
    """A stretch of steps and its rates."""

    name: str
    first: int
    last: int
    first_rate: float
    last_rate: float


def explain_schedule(study: StudyRuns) -> Drawing | None:
    """The recorded rate of the first arm that has a schedule, phase by phase; None where every rate is constant."""
    for arm in study.arms:
        curve = read_curve(study, arm)
        if len(curve) > 2 and curve["lr"].min() < curve["lr"].max():
            break
    else:
        return None
    phases = split_phases(curve)
    return Drawing(
        name="schedule-explained",
        title="Warmup and decay",
        caption=f"The rate that each step of {arm.label} used, as recorded.",
        description=" ".join(f"{_write_head(phase)}. {REASONS[phase.name]}" for phase in phases),
        data=curve,
        run_ids=tuple(arm.run_ids),
        draw=partial(_draw, arm, curve, phases),
    )


def split_phases(curve: pd.DataFrame) -> list[Phase]:
    """Warmup (rising to the highest rate), peak (staying there, where it does) and decay, those that were reached."""
    steps, rates = curve["step"].astype(int).tolist(), curve["lr"].astype(float).tolist()
    top = max(rates)
    first_top = rates.index(top)
    last_top = len(rates) - 1 - rates[::-1].index(top)
    phases = []
    if first_top > 0:
        phases.append(Phase("warmup", steps[0], steps[first_top], rates[0], top))
    if last_top > first_top:
        phases.append(Phase("peak", steps[first_top], steps[last_top], top, top))
    if last_top < len(rates) - 1:
        phases.append(Phase("decay", steps[last_top], steps[-1], top, rates[-1]))
    return phases


def _write_head(phase: Phase) -> str:
    """`Warmup, steps 1 to 10: 6e-5 to 6e-4`"""
    rates = (write_rate(phase.first_rate), write_rate(phase.last_rate))
    change = rates[0] if rates[0] == rates[1] else f"{rates[0]} to {rates[1]}"
    return f"{phase.name.capitalize()}, steps {write_count(phase.first)} to {write_count(phase.last)}: {change}"


def _draw(arm: ArmRuns, curve: pd.DataFrame, phases: list[Phase], layout: Layout) -> Figure:
    notes = [Note(_write_head(phase), REASONS[phase.name]) for phase in phases]
    figure, (ax,) = start_panels(
        layout, height=210 if layout.labels_at_ends else 170, left=66, bottom=56 + measure_notes(layout, notes)
    )
    style = style_arm(arm.index)
    x, y = thin_curve(curve["step"].to_numpy(dtype=float), curve["lr"].to_numpy(), 400)
    ax.plot(x, y, color=style.colour, lw=2.4, zorder=4)
    ax.fill_between(x, y, color=style.colour, alpha=0.08, lw=0)
    format_step_axis(ax, float(curve["step"].max()))
    top = float(curve["lr"].max())
    ax.set_ylim(0, top * 1.16)
    for number, phase in enumerate(phases, 1):
        middle = (phase.first + phase.last) / 2
        rate = float(curve.iloc[(curve["step"] - middle).abs().argmin()]["lr"])
        pin(ax, middle, rate, number)
        if number > 1:
            ax.axvline(phase.first, color=MUTED, lw=1, ls=(0, (1.2, 1.6)), zorder=2)
    peak = phases[0].last if phases[0].name == "warmup" else phases[0].first
    ax.annotate(
        f"peak {write_rate(top)} at step {write_count(peak)}",
        (peak, top),
        (10, 9),
        textcoords="offset points",
        color=INK,
        va="center",
    )
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: write_rate(value)))
    ax.set_ylabel("learning rate")
    draw_notes(figure, layout, notes)
    return figure
