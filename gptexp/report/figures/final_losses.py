"""Where the val losses of a study's arms end."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gptexp.analysis.instances import Arm, Instance
from gptexp.report.figures.canvas import Drawing, Layout, format_axis, start_panels
from gptexp.report.figures.end_labels import measure_labels
from gptexp.report.palette import MUTED, PAPER, style_arm
from gptexp.report.wording import write_loss, write_range


def final_val_losses(instance: Instance) -> Drawing | None:
    """Where each arm's val loss ended, a dot per seed; None for untrained models or where nothing was evaluated."""
    runs = [(arm, row) for arm in instance.arms for _, row in arm.runs.iterrows()]
    data = pd.DataFrame(
        [[arm.name, row["seed"], row["run_id"], row["outcome"], row["final_val_loss"]] for arm, row in runs],
        columns=["arm", "seed", "run_id", "outcome", "final_val_loss"],
    )
    if instance.is_untrained or len(instance.arms) < 2 or not np.isfinite(data["final_val_loss"]).any():
        return None
    several = len(instance.seeds) > 1
    return Drawing(
        name="final-val-loss",
        title="Final val loss by arm",
        caption="Lower is better; the axis doesn't start at 0. "
        + ("Each dot is one seed, the bar their mean." if several else "One seed: a direction, no interval."),
        description=" ".join(
            f"{arm.label}: {write_range(arm.runs['final_val_loss'].tolist())}." for arm in instance.arms
        ),
        data=data,
        run_ids=tuple(instance.run_ids),
        draw=partial(_draw_final, instance, data),
    )


def _draw_final(instance: Instance, data: pd.DataFrame, layout: Layout) -> Figure:
    rows = len(instance.arms)
    names = [_name_arm(arm) for arm in instance.arms]
    longest = measure_labels(names, 60) - 20
    beside = layout.labels_at_ends
    figure, (ax,) = start_panels(
        layout, height=rows * (34 if beside else 52), left=longest if beside else 14, right=74, top=6
    )
    finite = data["final_val_loss"][np.isfinite(data["final_val_loss"])]
    room = max((finite.max() - finite.min()) * 0.12, 0.02)
    ax.set_xlim(finite.min() - room, finite.max() + room)
    ax.set_ylim(rows - 0.5, -0.5)
    for place, arm in enumerate(instance.arms):
        values = data[(data["arm"] == arm.name) & np.isfinite(data["final_val_loss"])]["final_val_loss"]
        style = style_arm(arm.index)
        ax.axhline(place, color=MUTED, lw=0.6, alpha=0.35, zorder=1)
        if len(values) > 1:
            ax.plot([values.min(), values.max()], [place, place], color=style.colour, lw=2, zorder=3)
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
    return figure


def _name_arm(arm: Arm) -> str:
    diverged = arm.count_outcome("diverged")
    return f"{arm.label} ({diverged} of {len(arm.run_ids)} diverged)" if diverged else arm.label
