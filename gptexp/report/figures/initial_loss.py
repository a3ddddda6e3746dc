"""The loss of untrained models against what their init predicts."""

from __future__ import annotations

import math
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.measures.curves import expect_initial_loss
from gptexp.report.figures.canvas import Drawing, Layout, format_axis, start_panels
from gptexp.report.figures.legend import Key
from gptexp.report.figures.lettering import CHARACTER, fit_label, measure_room
from gptexp.report.palette import INK, MUTED, PAPER, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns, read_number
from gptexp.wording import write_loss, write_range

REACH = 0.6
"""Nats around the uniform guess within which arms share an axis; beyond it they are named at its edge."""


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
        draw=partial(_draw_initial, study, data),
    )


def tabulate_initial_losses(study: StudyRuns) -> pd.DataFrame:
    """arm, seed, run_id, init, vocab_size, n_embd, initial_val_loss, predicted (NaN: no prediction), uniform (ln V)."""
    rows = []
    for arm in study.arms:
        for _, run in arm.runs.iterrows():
            vocab_size, n_embd = read_number(run["vocab_size"]), read_number(run["n_embd"])
            known = not math.isnan(vocab_size) and not math.isnan(n_embd)
            predicted = expect_initial_loss(int(vocab_size), int(n_embd), str(run["init"])) if known else None
            uniform = math.log(vocab_size) if known else math.nan
            first = [arm.name, run["seed"], run["run_id"], run["init"], vocab_size, n_embd, run["initial_val_loss"]]
            rows.append([*first, math.nan if predicted is None else predicted, uniform])
    names = ["arm", "seed", "run_id", "init", "vocab_size", "n_embd", "initial_val_loss", "predicted", "uniform"]
    return pd.DataFrame(rows, columns=names).astype({"initial_val_loss": float, "predicted": float})


def _describe_arm(arm: ArmRuns, data: pd.DataFrame) -> str:
    rows = data[data["arm"] == arm.name]
    predicted = rows["predicted"].dropna()
    text = f"{arm.label}: {write_range(rows['initial_val_loss'].tolist())} nats per token, "
    return text + (f"predicted {write_loss(predicted.iloc[0])}." if len(predicted) else "no simple prediction.")


def _draw_initial(study: StudyRuns, data: pd.DataFrame, layout: Layout) -> Figure:
    rows = len(study.arms)
    beside = layout.labels_at_ends
    keys = [
        Key("measured", Line2D([], [], color=MUTED, ls="none", marker="o", ms=8)),
        Key("predicted", Line2D([], [], color=INK, ls="none", marker="|", ms=13, mew=2.4)),
        Key("ln V", Line2D([], [], color=MUTED, lw=1.4, ls=(0, (1.2, 1.6)))),
    ]
    names = [fit_label(arm.label, 46 * CHARACTER if beside else layout.width - 40) for arm in study.arms]
    left = measure_room(names, 18, 8) if beside else 16
    figure, (ax,) = start_panels(
        layout, keys=keys, height=rows * (44 if beside else 58), left=left, right=28 if beside else 22, top=6
    )
    centre = data["uniform"].median()
    near = data[(data["initial_val_loss"] - centre).abs() <= REACH]
    values = pd.concat([near["initial_val_loss"], near["predicted"], near["uniform"], data["uniform"]]).dropna()
    room = max((values.max() - values.min()) * 0.2, 0.02)
    ax.set_xlim(values.min() - room, values.max() + room * 1.6)
    ax.set_ylim(rows - 0.5, -0.5)
    for place, arm in enumerate(study.arms):
        _draw_row(ax, place, arm, data[data["arm"] == arm.name])
        at, align, up = (-0.015, "right", 0.0) if beside else (0.0, "left", -0.34)
        ax.text(at, place + up, names[place], transform=ax.get_yaxis_transform(), va="center", ha=align, color=INK)
    ax.set_yticks([])
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    format_axis(ax, "x")
    ax.set_xlabel("loss before the first step (nats per token)")
    return figure


def _draw_row(ax: Axes, place: int, arm: ArmRuns, rows: pd.DataFrame) -> None:
    style = style_arm(arm.index)
    low, high = ax.get_xlim()
    ax.axhline(place, color=MUTED, lw=0.6, alpha=0.35, zorder=1)
    for value in rows["uniform"].dropna().unique():
        ax.plot([value] * 2, [place - 0.42, place + 0.42], color=MUTED, lw=1.4, ls=(0, (1.2, 1.6)), zorder=2)
    for value in rows["predicted"].dropna().unique():
        ax.plot([value] * 2, [place - 0.24, place + 0.24], color=INK, lw=2.4, zorder=3)
    measured = rows["initial_val_loss"].dropna()
    inside = measured[(measured >= low) & (measured <= high)]
    ax.plot(
        inside,
        [place] * len(inside),
        ls="none",
        marker=style.marker,
        ms=9,
        mfc=style.colour,
        mec=PAPER,
        mew=1,
        zorder=5,
    )
    beyond = measured[(measured < low) | (measured > high)]
    if len(beyond):
        upward = beyond.mean() > high
        edge = 1.0 if upward else 0.0
        at = ax.get_yaxis_transform()
        ax.plot([edge], [place], transform=at, marker=">" if upward else "<", ms=10, color=style.colour, clip_on=False)
        where, align = (0.97, "right") if upward else (0.03, "left")
        ax.text(where, place - 0.24, f"at {write_range(beyond.tolist())}", transform=at, va="center", ha=align)
