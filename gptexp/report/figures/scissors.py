"""Train and val loss of one run: where the val loss is lowest, and how large the gap at the end is."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from gptexp.measures.curves import choose_smoothing_window
from gptexp.report.figures.axes import make_loss_axis, make_step_axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.legend import Key
from gptexp.report.figures.loss_lines import convert_to_epochs, smooth_train, trace_noisy
from gptexp.report.figures.marks import Dash, Line, Look, Mark, Words, ring_dots
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import ALERT, INK, PAPER, style_arm
from gptexp.report.units import find_unit
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import write_count, write_gap, write_loss

VAL_DASH: Dash = (0, (4, 1.6))


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
            "; it is the last one, so the scissors have not opened."
            if _is_last(evals)
            else "; every later one is higher."
        ),
        description=f"{arm.label}: lowest val loss {write_loss(best['val_loss'])} at step {write_count(best['step'])}, "
        f"last {write_loss(evals['val_loss'].iloc[-1])} at step {write_count(evals['step'].iloc[-1])}, then "
        f"{write_gap(gap) if gap >= 0 else '−' + write_loss(-gap)} from the smoothed train loss.",
        data=_tabulate(train, evals),
        run_ids=(str(evals["run_id"].iloc[0]),),
        draw=partial(draw_plot, _plot(study, arm, train, evals)),
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


def _plot(study: StudyRuns, arm: ArmRuns, train: pd.DataFrame, evals: pd.DataFrame) -> Plot:
    colour = style_arm(arm.index).colour
    keys = [
        Key("train, smoothed", Look(colour, 2.2)),
        Key("val", Look(INK, 1.6, VAL_DASH, marker="o", size=6, face=PAPER, edge_width=1.5)),
        Key("lowest val", Look(ALERT, dash="none", marker="o", size=13, face="none", edge_width=2)),
    ]
    x = train["step"].to_numpy(dtype=float)
    # No line from the untrained model to the first evaluation: the val loss fell as steeply as the train loss there.
    trained = evals[evals["step"] > 0]
    best = evals.iloc[int(evals["val_loss"].to_numpy().argmin())]
    late = best["step"] > 0.6 * x.max()
    text = f"lowest val {write_loss(best['val_loss'])}\nat step {write_count(best['step'])}"
    marks: list[Mark] = [
        *trace_noisy(x, train["train_loss"].to_numpy(), train["smoothed"].to_numpy(), colour),
        Line(trained["step"], trained["val_loss"], Look(INK, 1.6, VAL_DASH), z=5),
        Line(evals["step"], evals["val_loss"], ring_dots(INK, size=6, edge_width=1.5), z=6, overlap=True),
        Line([best["step"]], [best["val_loss"]], replace(keys[2].look, size=14), z=7, overlap=True),
        Words(best["step"], best["val_loss"], text, (-12 if late else 14, -14), "right" if late else "left", "top"),
    ]
    losses = make_loss_axis(
        np.concatenate([train["train_loss"], evals["val_loss"]]), 0.05, find_unit(study.runs, "train").nats
    )
    epochs = convert_to_epochs(study)
    return Plot([Panel(marks, make_step_axis(x.max()), losses, above=epochs, perplexity=True)], keys)
