"""What a run's layers did over depth and time, held against the other seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gptexp.measures.first_break import (
    OTHERS,
    RULE,
    Break,
    compare_with_others,
    find_breaks,
    order_layers,
    pivot_metrics,
)
from gptexp.report.figures.axes import Axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.legend import Key
from gptexp.report.figures.lettering import measure
from gptexp.report.figures.marks import DASHED, Cells, Look, Mark, ring_dots, upright_rule
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import ALERT, ARM_COLOURS, INK
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import write_count, write_number

AROUND = 30
"""Steps before and after the one at which the loss left that are shown."""
COLUMNS = 60
"""Shown steps at most; of several that share a column the largest deviation counts."""
METRICS = ("grad_norm", "update_ratio", "activation_rms", "attention_logit")
"""The first panels; other metrics by layer come after them."""
MOST_PANELS = 6
LEVELS = ((1.5, 0.25), (3.0, 0.6), (10.0, 1.0))
"""(deviation from which on, how strong the colour is)"""
MORE, LESS = ARM_COLOURS[1], ARM_COLOURS[0]
KEYS = (
    Key("1.5 to 3 times the others", Look(MORE, 8, alpha=LEVELS[0][1])),
    Key("3 to 10 times", Look(MORE, 8, alpha=LEVELS[1][1])),
    Key("over 10 times", Look(MORE, 8)),
    Key("below them by as much", Look(LESS, 8, alpha=LEVELS[1][1])),
)
LEFT_BAND = Look(INK, 1.2, DASHED)
FIRST = ring_dots(ALERT, "s", 8, edge_width=2)


def depth_over_time(study: StudyRuns) -> Drawing | None:
    """One panel per metric, a row per layer, of the run whose loss left the band of the other seeds farthest.

    Where no loss left, of the first run. None where no metric by layer was recorded of enough seeds.
    """
    chosen = _choose_run(study)
    if chosen is None:
        return None
    arm, seed, found = chosen
    data = _tabulate(study, arm, seed, found)
    if data.empty:
        return None
    what = f"{arm.label}, seed {seed}"
    return Drawing(
        name="depth-over-time",
        title="What broke first" if found else "The layers over time",
        caption=f"{what}: each layer's number (rows, from the embedding at the bottom to the output at the top) "
        f"divided by the median of the other seeds at the same step; white is within a factor of 1.5. {RULE}"
        + (" Dashed: the step at which the loss left. Frame: the first layer that had left." if found else ""),
        description=_describe(what, found, data),
        data=data,
        run_ids=tuple(arm.run_ids),
        draw=partial(draw_plot, _plot(data, found)),
    )


def _choose_run(study: StudyRuns) -> tuple[ArmRuns, int, Break | None] | None:
    """The arm and seed to show, and how the loss left; None where nothing can be compared."""
    measured = []
    for arm in study.arms:
        seeds = {int(str(seed)) for values in pivot_metrics(study, arm).values() for seed in values}
        if len(seeds) > OTHERS:
            measured.append((arm, min(seeds), find_breaks(study, arm)))
    breaks = [(arm, one) for arm, _, found in measured for one in found if one.leavings]
    if breaks:
        arm, one = max(breaks, key=lambda pair: pair[1].excess)
        return arm, one.seed, one
    return (measured[0][0], measured[0][1], None) if measured else None


def _tabulate(study: StudyRuns, arm: ArmRuns, seed: int, found: Break | None) -> pd.DataFrame:
    """metric, layer, step, value, ratio: what is drawn."""
    parts = []
    for name, values in pivot_metrics(study, arm).items():
        if seed in values:
            ratio = compare_with_others(values, seed)
            metric, _, layer = name.partition("/")
            own = pd.DataFrame({"step": ratio.index, "value": values.loc[ratio.index, seed].to_numpy()})
            parts.append(own.assign(metric=metric, layer=layer, ratio=ratio.to_numpy()))
    columns = ["metric", "layer", "step", "value", "ratio"]
    if not parts:
        return pd.DataFrame(columns=columns)
    data = pd.concat(parts, ignore_index=True)[columns]
    if found:
        data = data[(data["step"] - found.step).abs() <= AROUND]
    return _thin(data).reset_index(drop=True)


def _thin(data: pd.DataFrame) -> pd.DataFrame:
    """At most `COLUMNS` steps of each layer: of those that share a column, the one that deviates most."""
    steps = np.unique(data["step"])
    if len(steps) <= COLUMNS:
        return data
    column = np.searchsorted(steps, data["step"]) * COLUMNS // len(steps)
    size = np.abs(np.log(data["ratio"].clip(lower=1e-12).replace(math.inf, 1e12)))
    kept = size.groupby([data["metric"], data["layer"], column]).idxmax()
    return data.loc[sorted(kept)]


def _plot(data: pd.DataFrame, found: Break | None) -> Plot:
    named = [name for name in METRICS if (data["metric"] == name).any()]
    named += [name for name in dict.fromkeys(data["metric"]) if name not in named]
    panels = [_make_panel(data[data["metric"] == name], name, found) for name in named[:MOST_PANELS]]
    keys = [*KEYS]
    if found:
        keys += [Key("the loss left", LEFT_BAND), Key("first layer that had left", FIRST)]
    left = 14 + max(measure(layer) for layer in data["layer"].unique())
    # The narrow page has less room across, not less depth.
    return Plot(panels, keys, height=(150, 150), left=left, top=26, gap=40)


def _make_panel(rows: pd.DataFrame, metric: str, found: Break | None) -> Panel:
    layers = order_layers(rows["layer"])
    steps = np.unique(rows["step"])
    edges = np.append(steps, steps[-1] + (steps[-1] - steps[-2] if len(steps) > 1 else 1))
    marks: list[Mark] = []
    for place, layer in enumerate(layers):
        own = rows[rows["layer"] == layer].sort_values("step")
        marks += _shade(own, place, edges)
    if found:
        marks.append(upright_rule(found.step, LEFT_BAND, z=5))
        first = found.leavings[0]
        if first.metric == metric:
            marks.append(Cells([first.step], [1], layers.index(first.layer), FIRST.colour, 1.0, is_frame=True))
    shown = _choose_layers(layers)
    y = Axis(
        -0.5, len(layers) - 0.5, write=lambda at: layers[round(at)], at=tuple(float(layers.index(one)) for one in shown)
    )
    return Panel(marks, Axis(float(edges[0]), float(edges[-1]), "step", whole=True), y, title=metric)


def _shade(own: pd.DataFrame, place: int, edges: npt.NDArray[Any]) -> list[Mark]:
    """One layer's row: its steps by how far they deviate, up and down; what isn't finite in the colour of alarms."""
    width = dict(zip(edges[:-1], np.diff(edges), strict=True))
    ratio = own["ratio"].to_numpy(dtype=float)
    size = np.where(ratio > 0, np.maximum(ratio, 1 / np.where(ratio > 0, ratio, 1)), math.inf)
    finite, level = np.isfinite(ratio), np.searchsorted([low for low, _ in LEVELS], size) - 1
    looks = [(ALERT, 1.0, ~finite)]
    for number, (_, alpha) in enumerate(LEVELS):
        looks += [(MORE, alpha, finite & (level == number) & (ratio > 1))]
        looks += [(LESS, alpha, finite & (level == number) & (ratio <= 1))]
    marks: list[Mark] = []
    for colour, alpha, chosen in looks:
        steps = own["step"].to_numpy()[chosen]
        marks += [Cells(steps, [width[step] for step in steps], place, colour, alpha)] if len(steps) else []
    return marks


def _choose_layers(layers: Sequence[str]) -> list[str]:
    """Up to nine that are named at the axis: the first, the last, and some between."""
    places = np.unique(np.linspace(0, len(layers) - 1, min(len(layers), 9)).round().astype(int))
    return [layers[place] for place in places]


def _describe(what: str, found: Break | None, data: pd.DataFrame) -> str:
    if not found:
        most = data.iloc[int(data["ratio"].argmax())]
        return (
            f"{what}: no loss left the band. The largest ratio is {write_number(most['ratio'])}, {most['metric']} of "
            f"{most['layer']} at step {write_count(most['step'])}."
        )
    first = found.leavings[0]
    lead = found.step - first.step
    when = "at the same step" if not lead else f"{write_count(lead)} step{'s' if lead > 1 else ''} before the loss"
    return (
        f"{what}: the train loss left the band of the other seeds at step {write_count(found.step)}. The first layer "
        f"that had left is {first.layer}: its {first.metric} was {write_number(first.ratio)} times the median of the "
        f"others at step {write_count(first.step)}, {when}."
    )
