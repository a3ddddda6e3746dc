"""Train against val loss: where the val loss is lowest, and how far the two drift apart."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gptexp.measures.curves import choose_smoothing_window, thin_curve
from gptexp.report.figures.canvas import (
    Drawing,
    Layout,
    add_epoch_axis,
    add_perplexity_axis,
    format_axis,
    format_step_axis,
    start_panels,
)
from gptexp.report.figures.legend import Key
from gptexp.report.figures.loss_lines import smooth_train
from gptexp.report.figures.losses import count_epochs_per_step
from gptexp.report.palette import ALERT, INK, MUTED, PAPER, style_arm
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import write_count, write_gap, write_loss


def scissors(study: StudyRuns) -> Drawing | None:
    """Train and val loss of the arm with the lowest val loss (its first seed); None with fewer than 3 evaluations."""
    curve = study.val_curve
    finite = curve[np.isfinite(curve["val_loss"])]
    trained = finite[finite["step"] > 0]
    counts = trained.groupby("arm")["step"].nunique()
    trained = trained[trained["arm"].isin(counts[counts > 1].index)]
    if trained.empty or study.steps.empty:
        return None
    best = trained.loc[trained["val_loss"].idxmin()]
    arm = next(arm for arm in study.arms if arm.name == best["arm"])
    seed = best["seed"]
    evals = finite[(finite["arm"] == arm.name) & (finite["seed"] == seed)].sort_values("step", kind="stable")
    train = smooth_train(study, choose_smoothing_window(int(study.steps["step"].max())))
    train = train[(train["arm"] == arm.name) & (train["seed"] == seed)]
    if train.empty:
        return None
    gap = _measure_gap(train, evals)
    return Drawing(
        name="scissors",
        title="Train against val: the scissors",
        caption=f"{arm.label}. The ring marks the lowest val loss"
        + (
            "; it is the last one, so the scissors have not opened." if _is_last(evals) else "; from there on it rises."
        ),
        description=f"{arm.label}: lowest val loss {write_loss(best['val_loss'])} at step {write_count(best['step'])}, "
        f"last {write_loss(evals['val_loss'].iloc[-1])} at step {write_count(evals['step'].iloc[-1])}, then "
        f"{write_gap(gap) if gap >= 0 else '−' + write_loss(-gap)} from the smoothed train loss.",
        data=_tabulate(train, evals),
        run_ids=(str(evals["run_id"].iloc[0]),),
        draw=partial(_draw, study, arm, train, evals),
    )


def _is_last(evals: pd.DataFrame) -> bool:
    return bool(evals["val_loss"].to_numpy().argmin() == len(evals) - 1)


def _measure_gap(train: pd.DataFrame, evals: pd.DataFrame) -> float:
    """Last val loss minus the smoothed train loss at the end."""
    smooth = train["smoothed"][np.isfinite(train["smoothed"])]
    return float(evals["val_loss"].iloc[-1] - smooth.iloc[-1])


def _tabulate(train: pd.DataFrame, evals: pd.DataFrame) -> pd.DataFrame:
    keys = ["arm", "seed", "run_id", "step"]
    left = train[[*keys, "train_loss", "smoothed"]].rename(columns={"smoothed": "train_loss_smoothed"})
    return left.merge(evals[[*keys, "val_loss", "val_bpb"]], on=keys, how="outer").sort_values(
        "step", ignore_index=True
    )


def _draw(study: StudyRuns, arm: ArmRuns, train: pd.DataFrame, evals: pd.DataFrame, layout: Layout) -> Figure:
    style = style_arm(arm.index)
    keys = [
        Key("train, smoothed", Line2D([], [], color=style.colour, lw=2.2)),
        Key("val", Line2D([], [], color=INK, lw=1.6, ls=(0, (4, 1.6)), marker="o", ms=6, mfc=PAPER, mew=1.5)),
        Key("lowest val", Line2D([], [], marker="o", ms=13, mfc="none", mec=ALERT, mew=2, ls="none")),
    ]
    epochs = count_epochs_per_step(study)
    figure, (ax,) = start_panels(layout, keys=keys, right=66, top=46 if epochs else 8)
    x = train["step"].to_numpy(dtype=float)
    ax.plot(*thin_curve(x, train["train_loss"].to_numpy(), 600), color=style.colour, lw=0.8, alpha=0.28, zorder=2)
    ax.plot(*thin_curve(x, train["smoothed"].to_numpy(), 300), color=style.colour, lw=2.2, zorder=4)
    # No line from the untrained model to the first evaluation: the val loss fell as steeply as the train loss there.
    trained = evals[evals["step"] > 0]
    ax.plot(trained["step"].astype(float), trained["val_loss"], color=INK, lw=1.6, ls=(0, (4, 1.6)), zorder=5)
    dots: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 6, "mfc": PAPER, "mec": INK, "mew": 1.5}
    ax.plot(evals["step"].astype(float), evals["val_loss"], **dots, zorder=6, clip_on=False)
    values = np.concatenate([train["train_loss"].to_numpy(), evals["val_loss"].to_numpy()])
    values = values[np.isfinite(values)]
    room = 0.05 * (values.max() - values.min())
    ax.set_ylim(values.min() - room, values.max() + room)
    format_step_axis(ax, float(x.max()))
    best = evals.iloc[int(evals["val_loss"].to_numpy().argmin())]
    ax.plot(
        [best["step"]], [best["val_loss"]], marker="o", ms=14, mfc="none", mec=ALERT, mew=2, zorder=7, clip_on=False
    )
    late = best["step"] > 0.6 * x.max()
    ax.annotate(
        f"lowest val {write_loss(best['val_loss'])}\nat step {write_count(best['step'])}",
        (best["step"], best["val_loss"]),
        (-12 if late else 12, 34),
        textcoords="offset points",
        ha="right" if late else "left",
        va="bottom",
        color=INK,
    )
    format_axis(ax, "y")
    ax.set_ylabel("loss (nats per token)")
    add_perplexity_axis(ax)
    add_epoch_axis(ax, epochs)
    ax.xaxis.label.set_color(MUTED)
    return figure
