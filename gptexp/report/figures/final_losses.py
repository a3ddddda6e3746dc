"""Where the val losses of a study's arms end."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd

from gptexp.comparisons.differences import read_losses
from gptexp.comparisons.speed import spell_interval
from gptexp.comparisons.texts import have_same_tokens
from gptexp.report.figures.axes import Axis, Conversion
from gptexp.report.figures.bands import BAND_SEEDS
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.marks import Line, Look, Mark, fill_dots
from gptexp.report.figures.rows import Row, RowPlot, draw_rows
from gptexp.report.palette import style_arm
from gptexp.report.units import find_unit
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import ONE_SEED, count_things, write_interval, write_loss


def final_val_losses(study: StudyRuns) -> Drawing | None:
    """Where each arm's val loss ended, a dot per seed; None for untrained models or where nothing was evaluated."""
    runs = [(arm, row) for arm in study.arms for _, row in arm.runs.iterrows()]
    data = pd.DataFrame(
        [[arm.name, row["seed"], row["run_id"], row["outcome"], row["final_val_loss"]] for arm, row in runs],
        columns=["arm", "seed", "run_id", "outcome", "final_val_loss"],
    )
    if study.is_untrained or len(study.arms) < 2 or not np.isfinite(data["final_val_loss"]).any():
        return None
    several = len(study.seeds) > 1
    has_bands = any(len(read_losses(arm)) >= BAND_SEEDS for arm in study.arms)
    where = "" if have_same_tokens(study.arms) else ", but only on the same text and tokens"
    data = data.merge(_sum_up(study), on="arm")
    return Drawing(
        name="final-val-loss",
        title="Final val loss by arm",
        caption=f"Lower is better{where}; the axis doesn't start at 0. "
        + (
            f"Each dot is one seed, the bar their mean{', the band its 95% interval' if has_bands else ''}."
            if several
            else ONE_SEED
        ),
        description=" ".join(_describe(arm, data[data["arm"] == arm.name].iloc[0]) for arm in study.arms),
        data=data,
        run_ids=tuple(study.run_ids),
        draw=partial(draw_rows, _plot(study, data)),
    )


def _sum_up(study: StudyRuns) -> pd.DataFrame:
    """arm, mean, low, high (95%), n of the completed runs, n_diverged."""
    rows = []
    for arm in study.arms:
        losses = list(read_losses(arm).values())
        rows.append({"arm": arm.name, **spell_interval("final_val_loss", losses), "n": len(losses)})
    return pd.DataFrame(rows).assign(n_diverged=[arm.count_outcome("diverged") for arm in study.arms])


def _describe(arm: ArmRuns, row: pd.Series) -> str:
    """`warmup, cosine: 1.874 [1.861, 1.887], 1 of 3 runs diverged.`"""
    interval = write_interval(row["final_val_loss_low"], row["final_val_loss_high"])
    text = f"{arm.label}: {write_loss(row['final_val_loss_mean'])} {interval}".strip()
    diverged = f", {row['n_diverged']} of {count_things(len(arm.run_ids), 'run')} diverged"
    return f"{text}{diverged if row['n_diverged'] else ''}."


def _plot(study: StudyRuns, data: pd.DataFrame) -> RowPlot:
    finite = data["final_val_loss"][np.isfinite(data["final_val_loss"])]
    room = max((finite.max() - finite.min()) * 0.12, 0.02)
    # An interval may be much wider than all arms are apart: it leaves the axis.
    reach = max(finite.max() - finite.min(), 0.02)
    banded = data[data["n"] >= BAND_SEEDS]
    low = max(min(finite.min(), banded["final_val_loss_low"].min()), finite.min() - reach)
    high = min(max(finite.max(), banded["final_val_loss_high"].max()), finite.max() + reach)
    rows = []
    for place, arm in enumerate(study.arms):
        own = data[(data["arm"] == arm.name) & np.isfinite(data["final_val_loss"])]
        diverged = arm.count_outcome("diverged")
        ending = f" ({diverged} of {len(arm.run_ids)} diverged)" if diverged else ""
        value = write_loss(own["final_val_loss"].mean()) if len(own) else "none"
        rows.append(Row(arm.label, _list_marks(arm, own, place), ending, value))
    x = Axis(low - room, high + room, f"final val loss ({find_unit(study.runs, 'val').nats})")
    return RowPlot(rows, x, (34, 52), right=(74, 74), left=14, top=44, lead=0.7, above=_convert_to_bits(study))


def _list_marks(arm: ArmRuns, own: pd.DataFrame, place: int) -> list[Mark]:
    """A dot per seed; of several their mean, and from `BAND_SEEDS` on its interval."""
    style, values = style_arm(arm.index), own["final_val_loss"]
    marks: list[Mark] = []
    if len(values) >= BAND_SEEDS:
        ends = [own["final_val_loss_low"].iloc[0], own["final_val_loss_high"].iloc[0]]
        marks.append(Line(ends, [place, place], Look(style.colour, 9, alpha=0.3), z=3, flat_ends=True))
    if len(values) > 1:
        marks.append(Line([values.mean()] * 2, [place - 0.26, place + 0.26], Look(style.colour, 3), z=5))
    marks.append(Line(values, [place] * len(values), fill_dots(style.colour, style.marker, 8), z=4))
    return marks


def _convert_to_bits(study: StudyRuns) -> Conversion | None:
    """Bits per byte, where all runs turn nats per token into them at the same rate."""
    ratios = (study.runs["final_val_bpb"].astype(float) / study.runs["final_val_loss"].astype(float)).dropna()
    same = len(ratios) and math.isclose(ratios.min(), ratios.max(), rel_tol=1e-9)
    return Conversion(float(ratios.iloc[0]), "bits per byte") if same else None
