"""Where the val losses of a study's arms end."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gptexp.measures.differences import read_losses
from gptexp.measures.speed import spell_interval
from gptexp.measures.texts import have_same_tokens
from gptexp.report.figures.canvas import Drawing, Layout, format_axis, start_panels
from gptexp.report.figures.lettering import CHARACTER, fit_label, measure, measure_room
from gptexp.report.palette import GRID, MUTED, PAPER, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import count_things, write_interval, write_loss


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
    where = "" if have_same_tokens(study.arms) else ", but only on the same text and tokens"
    data = data.merge(_sum_up(study), on="arm")
    return Drawing(
        name="final-val-loss",
        title="Final val loss by arm",
        caption=f"Lower is better{where}; the axis doesn't start at 0. "
        + (
            "Each dot is one seed, the bar their mean, the band its 95% interval."
            if several
            else "One seed: a direction, no interval."
        ),
        description=" ".join(_describe(arm, data[data["arm"] == arm.name].iloc[0]) for arm in study.arms),
        data=data,
        run_ids=tuple(study.run_ids),
        draw=partial(_draw_final, study, data),
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


def _draw_final(study: StudyRuns, data: pd.DataFrame, layout: Layout) -> Figure:
    rows = len(study.arms)
    beside = layout.labels_at_ends
    names = [_name_arm(arm, 60 * CHARACTER if beside else layout.width - 30) for arm in study.arms]
    longest = measure_room(names, 18, 8)
    figure, (ax,) = start_panels(
        layout, height=rows * (34 if beside else 52), left=longest if beside else 14, right=74, top=44
    )
    finite = data["final_val_loss"][np.isfinite(data["final_val_loss"])]
    room = max((finite.max() - finite.min()) * 0.12, 0.02)
    # An interval of two seeds may be ten times as wide as all arms are apart: it leaves the axis.
    reach = max(finite.max() - finite.min(), 0.02)
    low = max(min(finite.min(), data["final_val_loss_low"].min()), finite.min() - reach)
    high = min(max(finite.max(), data["final_val_loss_high"].max()), finite.max() + reach)
    ax.set_xlim(low - room, high + room)
    ax.set_ylim(rows - 0.5, -0.5 if beside else -0.7)
    for place, arm in enumerate(study.arms):
        own = data[(data["arm"] == arm.name) & np.isfinite(data["final_val_loss"])]
        values = own["final_val_loss"]
        style = style_arm(arm.index)
        ax.axhline(place, color=MUTED, lw=0.6, alpha=0.35, zorder=1)
        if len(values) > 1:
            ends = [own["final_val_loss_low"].iloc[0], own["final_val_loss_high"].iloc[0]]
            ax.plot(ends, [place, place], color=style.colour, lw=9, alpha=0.3, solid_capstyle="butt", zorder=3)
            ax.plot([values.mean()] * 2, [place - 0.26, place + 0.26], color=style.colour, lw=3, zorder=5)
        ax.plot(
            values, [place] * len(values), ls="none", marker=style.marker, ms=8, mfc=style.colour, mec=PAPER, zorder=4
        )
        text = write_loss(values.mean()) if len(values) else "none"
        ax.text(1.02, place, text, transform=ax.get_yaxis_transform(), va="center", ha="left")
        at, align, up = (-0.015, "right", 0.0) if beside else (0.0, "left", -0.34)
        ax.text(at, place + up, names[place], transform=ax.get_yaxis_transform(), va="center", ha=align)
    ax.set_yticks([])
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    format_axis(ax, "x")
    ax.set_xlabel("final val loss (nats per token)")
    _add_bytes_axis(ax, study)
    return figure


def _add_bytes_axis(ax: Axes, study: StudyRuns) -> None:
    """Bits per byte at the top, where all runs turn nats per token into them at the same rate; else nothing."""
    ratios = (study.runs["final_val_bpb"].astype(float) / study.runs["final_val_loss"].astype(float)).dropna()
    same = len(ratios) and math.isclose(ratios.min(), ratios.max(), rel_tol=1e-9)
    if not same:
        return
    rate = float(ratios.iloc[0])
    top = ax.secondary_xaxis("top", functions=(partial(np.multiply, rate), partial(np.multiply, 1 / rate)))
    top.set_xlabel("bits per byte", color=MUTED, labelpad=6)
    top.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    top.tick_params(colors=MUTED, length=3)
    top.spines["top"].set(visible=True, color=GRID)


def _name_arm(arm: ArmRuns, width: float) -> str:
    """Its label, made to fit, and how many of its runs diverged."""
    diverged = arm.count_outcome("diverged")
    ending = f" ({diverged} of {len(arm.run_ids)} diverged)" if diverged else ""
    return f"{fit_label(arm.label, width - measure(ending))}{ending}"
