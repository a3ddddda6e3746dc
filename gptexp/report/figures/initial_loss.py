"""The loss of untrained models, and what their initialization predicts."""

from __future__ import annotations

from functools import partial

import pandas as pd

from gptexp.measures.catalog import MEASURES
from gptexp.report.figures.axes import Axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.legend import Key
from gptexp.report.figures.marks import DOTTED, Line, Look, Mark, Words, fill_dots
from gptexp.report.figures.rows import Row, RowPlot, draw_rows
from gptexp.report.palette import INK, MUTED, style_arm
from gptexp.report.units import find_unit
from gptexp.runs.run_records import list_runs_of
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import write_loss, write_range

REACH = 0.6
"""Losses within so many nats of ln V share the axis; others are named at its edge."""
UNIFORM = Look(MUTED, 1.4, DOTTED)


def initial_losses(study: StudyRuns) -> Drawing | None:
    """Measured initial val loss per arm, a dot per seed, with its prediction; None for a study that trains."""
    data = tabulate_initial_losses(study)
    if not study.is_untrained or not data["initial_val_loss"].notna().any():
        return None
    return Drawing(
        name="initial-loss",
        title="Initial loss against its prediction",
        caption="Dots: val loss of the untrained model, one per seed. Upright bar: ln V + n_embd·0.02²/2, what GPT-2's "
        "init predicts. Dotted line: ln V, a uniform guess over the vocabulary. An arrow points to what lies beyond "
        "the axis.",
        description=" ".join(_describe_arm(arm, data) for arm in study.arms),
        data=data,
        run_ids=tuple(study.run_ids),
        draw=partial(draw_rows, _plot(study, data)),
    )


def tabulate_initial_losses(study: StudyRuns) -> pd.DataFrame:
    """arm, seed, run_id, init, vocab_size, n_embd, initial_val_loss, predicted (NaN: no prediction), uniform (ln V)."""
    measured = ("vocab_size", "n_embd", "initial_val_loss", "predicted", "uniform")
    rows = []
    for arm in study.arms:
        for run in list_runs_of(study, arm):
            numbers = [MEASURES[name].of(run) for name in measured]
            rows.append([arm.name, run.seed, run.run_id, run.row["init"], *numbers])
    return pd.DataFrame(rows, columns=["arm", "seed", "run_id", "init", *measured])


def _describe_arm(arm: ArmRuns, data: pd.DataFrame) -> str:
    rows = data[data["arm"] == arm.name]
    predicted = rows["predicted"].dropna()
    text = f"{arm.label}: {write_range(rows['initial_val_loss'].tolist())} {find_unit(arm.runs, 'val').nats}, "
    return text + (f"predicted {write_loss(predicted.iloc[0])}." if len(predicted) else "no simple prediction.")


def _plot(study: StudyRuns, data: pd.DataFrame) -> RowPlot:
    keys = [
        Key("measured", Look(MUTED, dash="none", marker="o", size=8)),
        Key("predicted", Look(INK, dash="none", marker="|", size=13, edge_width=2.4)),
        Key("ln V", UNIFORM),
    ]
    centre = data["uniform"].median()
    near = data[(data["initial_val_loss"] - centre).abs() <= REACH]
    values = pd.concat([near["initial_val_loss"], near["predicted"], near["uniform"], data["uniform"]]).dropna()
    room = max((values.max() - values.min()) * 0.2, 0.02)
    x = Axis(
        values.min() - room,
        values.max() + room * 1.6,
        f"loss before the first step ({find_unit(study.runs, 'val').nats})",
    )
    rows = [
        Row(arm.label, _list_marks(arm, data[data["arm"] == arm.name], place, x))
        for place, arm in enumerate(study.arms)
    ]
    return RowPlot(rows, x, (44, 58), right=(28, 22), left=16, top=6, keys=keys)


def _list_marks(arm: ArmRuns, rows: pd.DataFrame, place: int, x: Axis) -> list[Mark]:
    style = style_arm(arm.index)
    marks: list[Mark] = [
        Line([value] * 2, [place - 0.42, place + 0.42], UNIFORM) for value in rows["uniform"].dropna().unique()
    ]
    predicted = rows["predicted"].dropna().unique()
    marks += [Line([value] * 2, [place - 0.24, place + 0.24], Look(INK, 2.4), z=3) for value in predicted]
    measured = rows["initial_val_loss"].dropna()
    is_inside = measured.between(x.low, x.high)
    inside, beyond = measured[is_inside], measured[~is_inside]
    marks.append(Line(inside, [place] * len(inside), fill_dots(style.colour, style.marker, 9), z=5))
    if len(beyond):
        upward = beyond.mean() > x.high
        edge, arrow = (1.0, ">") if upward else (0.0, "<")
        look = Look(style.colour, 1.5, marker=arrow, size=10)
        marks.append(Line([edge], [place], look, units="width", overlap=True))
        at, align = (0.97, "right") if upward else (0.03, "left")
        gap = abs(float(beyond.mean()) - (x.high if upward else x.low))
        words = f"{write_range(beyond.tolist())}, {gap / (x.high - x.low):,.0f} axis widths away"
        marks.append(Words(at, place + 0.26, words, align=align, units="width"))
    return marks
