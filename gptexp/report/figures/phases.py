"""One learning rate schedule and its phases, as recorded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pandas as pd

from gptexp.measures.curves import thin_curve
from gptexp.report.figures.axes import make_rate_axis, make_step_axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.marks import DOTTED, Band, Line, Look, Mark, Words, upright_rule
from gptexp.report.figures.notes import Note, make_pin
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.figures.schedules import read_curve
from gptexp.report.palette import MUTED, style_arm
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import write_count, write_rate

WORDS = {
    "warmup": "The rate rises to its peak.",
    "peak": "The rate stays at its peak.",
    "decay": "The rate falls.",
}
"""What the records hold of a phase. Why a schedule has it is a claim, and runs have to judge claims."""


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
        description=" ".join(f"{_write_head(phase)}. {WORDS[phase.name]}" for phase in phases),
        data=curve,
        run_ids=tuple(arm.run_ids),
        draw=partial(draw_plot, _plot(curve, phases, style_arm(arm.index).colour)),
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


def _plot(curve: pd.DataFrame, phases: list[Phase], colour: str) -> Plot:
    x, y = thin_curve(curve["step"].to_numpy(dtype=float), curve["lr"].to_numpy(), 400)
    marks: list[Mark] = [Line(x, y, Look(colour, 2.4), z=4), Band(x, y, 0, colour, 0.08)]
    for number, phase in enumerate(phases, 1):
        middle = (phase.first + phase.last) / 2
        rate = float(curve.iloc[(curve["step"] - middle).abs().argmin()]["lr"])
        marks += make_pin(middle, rate, number)
        if number > 1:
            marks.append(upright_rule(phase.first, Look(MUTED, 1, DOTTED)))
    top = float(curve["lr"].max())
    peak = phases[0].last if phases[0].name == "warmup" else phases[0].first
    last = float(curve["step"].max())
    # Towards the side where there is room: a run that was stopped in its warmup has its peak at the right.
    shift, align = ((10, 9), "left") if peak <= last / 2 else ((-10, 9), "right")
    marks.append(Words(peak, top, f"peak {write_rate(top)} at step {write_count(peak)}", shift, align))
    panel = Panel(marks, make_step_axis(last), make_rate_axis(top * 1.16))
    notes = [Note(_write_head(phase), WORDS[phase.name]) for phase in phases]
    return Plot([panel], notes=notes, height=(210, 170), left=66)
