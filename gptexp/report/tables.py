"""Tables of a study instance: cells for people, and a data frame with the same numbers unrounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from gptexp.measures.curves import FINAL_WINDOW
from gptexp.measures.summary import ENDS, summarize_arms
from gptexp.measures.texts import have_same_tokens, name_tokens
from gptexp.report.figures.initial_loss import tabulate_initial_losses
from gptexp.runs.study_runs import StudyRuns
from gptexp.training.flags import FLAG_RULES
from gptexp.wording import (
    ABSENT,
    count_things,
    write_count,
    write_duration,
    write_gap,
    write_interval,
    write_loss,
    write_number,
    write_percent,
    write_range,
)


@dataclass(frozen=True)
class Cell:
    """What one cell shows, and by what it sorts."""

    text: str
    order: float | str | None = None
    mark: str = ""
    """best or diverged."""
    arm: int | None = None
    """The place of the arm that the cell names, for its colour."""
    detail: str = ""
    """A second, smaller line: an interval, or how many seeds are behind the number."""

    @property
    def full_text(self) -> str:
        """Both lines in one."""
        detail = self.detail if self.detail.startswith("[") else f"({self.detail})"
        return f"{self.text} {detail}" if self.detail else self.text

    @property
    def order_text(self) -> str:
        """`order` as a script can compare it; empty where there is nothing to compare."""
        if isinstance(self.order, str):
            return self.order
        if self.order is None or math.isnan(self.order):
            return ""
        return repr(float(self.order)).replace("inf", "Infinity")


@dataclass(frozen=True)
class Column:
    """A heading, the unit or explanation under it, and a heading that it shares with its neighbours."""

    heading: str
    note: str = ""
    group: str = ""
    numeric: bool = True
    arm: int | None = None
    """The place of the arm that `group` names, for its colour."""


@dataclass(frozen=True)
class Table:
    """A table of the page."""

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    data: pd.DataFrame
    """The numbers behind the cells, as the CSV holds them."""
    run_ids: tuple[str, ...]


ARM = Column("arm", numeric=False)
ONE_SEED = "One seed: a direction, no interval."
SEVERAL_SEEDS = (
    "Means over the seeds that completed, under the final losses their 95% interval (Student's t), under the best one "
    "the lowest and the highest seed. A seed that diverged is counted, not averaged."
)


def results_table(study: StudyRuns) -> Table | None:
    """How the arms compare at their ends; None for untrained models."""
    if study.is_untrained:
        return None
    data = summarize_arms(study)
    several = len(study.seeds) > 1
    cells = [(ARM, lambda row: _name_arm(study, row)), (Column("outcome", numeric=False), _write_outcome)]
    cells += [
        (Column("final val loss", "whole split"), lambda row: _write_spread(row, "final_val_loss", best=True)),
        (Column("perplexity"), lambda row: _number(row["perplexity"])),
        (Column("bits per byte"), lambda row: _loss(row["final_val_bpb_mean"])),
        (Column("best val loss", "on a fixed subset"), lambda row: _write_spread(row, "best_val_loss")),
        (Column("at step"), _write_best_step),
        (
            Column("final train loss", f"mean of last {FINAL_WINDOW}"),
            lambda row: _write_spread(row, "final_train_loss"),
        ),
    ]
    if len(study.arms) > 1:
        several_texts = not have_same_tokens(study.arms)
        note = "same text, nats" if several_texts else "nats"
        cells.insert(3, (Column("above lowest", note), lambda row: _write_distance(row["above_best"])))
        if several_texts:
            texts = {arm.name: name_tokens([arm], study) for arm in study.arms}
            cells.insert(1, (Column("corpus", numeric=False), lambda row: Cell(texts[row["arm"]], texts[row["arm"]])))
    seeds = SEVERAL_SEEDS if several else ONE_SEED
    title = "How the arms end" if len(study.arms) > 1 else "How it ends"
    if data["stopped"].any():
        seeds += " A run that was stopped on its way has no end yet: its best val loss is the best so far."
    return _build("results", title, seeds, study, data, cells)


def training_table(study: StudyRuns) -> Table | None:
    """What the training took and how its gradients behaved; None for untrained models."""
    if study.is_untrained:
        return None
    data = summarize_arms(study)
    data["tokens_per_sec"] = data["tokens_seen"] / data["duration_s"].where(data["duration_s"] > 0)
    cells = [
        (ARM, lambda row: _name_arm(study, row)),
        (Column("last step"), lambda row: Cell(write_count(row["last_step"]), row["last_step"])),
        (
            Column("clipped", "of all steps"),
            lambda row: Cell(write_percent(row["clipped_fraction"]), row["clipped_fraction"]),
        ),
        (Column("largest gradient norm", "L2, before clipping"), lambda row: _number(row["max_grad_norm"])),
        (Column("tokens seen", "per run"), lambda row: Cell(write_count(row["tokens_seen"]), row["tokens_seen"])),
        (Column("epochs", "over the corpus"), lambda row: _number(row["epochs"])),
        (Column("time", "per run"), lambda row: Cell(write_duration(row["duration_s"]), row["duration_s"])),
        (Column("tokens per second"), lambda row: Cell(write_count(row["tokens_per_sec"]), row["tokens_per_sec"])),
        (Column("peak memory", "MiB"), lambda row: Cell(write_count(row["peak_memory_mib"]), row["peak_memory_mib"])),
    ]
    return _build("training", "What the training took", "Means over the runs of an arm.", study, data, cells)


def initial_table(study: StudyRuns) -> Table | None:
    """Initial losses against their prediction; None for a study that trains."""
    if not study.is_untrained:
        return None
    data = tabulate_initial_losses(study)
    data["difference"] = data["initial_val_loss"] - data["predicted"]
    rows = []
    for arm in study.arms:
        own = data[data["arm"] == arm.name]
        first = own.iloc[0]
        rows.append(
            (
                Cell(arm.label, arm.label, arm=arm.index),
                Cell(str(len(own)), len(own)),
                Cell(str(first["init"]), str(first["init"])),
                Cell(write_count(first["vocab_size"]), first["vocab_size"]),
                Cell(write_count(first["n_embd"]), first["n_embd"]),
                Cell(write_range(own["initial_val_loss"].tolist()), own["initial_val_loss"].mean()),
                _loss(first["predicted"]),
                _write_difference(own["difference"].mean()),
                _loss(first["uniform"]),
            )
        )
    columns = (
        ARM,
        Column("seeds"),
        Column("init", numeric=False),
        Column("vocabulary", "V, tokens"),
        Column("width", "n_embd"),
        Column("initial loss", "nats per token"),
        Column("predicted", "ln V + n_embd·0.02²/2"),
        Column("difference", "nats"),
        Column("uniform guess", "ln V"),
    )
    caption = (
        "Val loss before the first step: the mean over the seeds, and in brackets the lowest and the highest. No "
        "simple prediction exists for PyTorch's default init."
    )
    return Table(
        "initial-loss-table", "Where the loss starts", caption, columns, tuple(rows), data, tuple(study.run_ids)
    )


def _build(
    name: str,
    title: str,
    caption: str,
    study: StudyRuns,
    data: pd.DataFrame,
    cells: Sequence[tuple[Column, Callable[[pd.Series], Cell]]],
) -> Table:
    rows = tuple(tuple(write(row) for _, write in cells) for _, row in data.iterrows())
    return Table(name, title, caption, tuple(column for column, _ in cells), rows, data, tuple(study.run_ids))


def _name_arm(study: StudyRuns, row: pd.Series) -> Cell:
    index = next(arm.index for arm in study.arms if arm.name == row["arm"])
    return Cell(str(row["label"]), index, arm=index)


def _write_outcome(row: pd.Series) -> Cell:
    """`3 of 3 completed`, `1 of 3 diverged (step 170), 2 of 3 stopped (step 600 of 10,000), 1 spiked`."""
    parts = []
    for outcome in ("diverged", "failed", "interrupted", "stopped", "unfinished", "completed"):
        if row[outcome]:
            steps = row[f"{outcome}_steps"] if outcome in ("diverged", "stopped") else ""
            where = f" (step {steps})" if steps else ""
            parts.append(f"{row[outcome]} of {row['n_runs']} {outcome}{where}")
    parts += [f"{row[flag]} {flag}" for flag in FLAG_RULES if row[flag]]
    return Cell(", ".join(parts), ", ".join(parts), mark="diverged" if row["diverged"] else "")


def _write_spread(row: pd.Series, column: str, *, best: bool = False) -> Cell:
    """Mean over the seeds that have the value, its interval or range, and of how many seeds where not of all."""
    mean, low, high = (row[f"{column}_{kind}"] for kind in ("mean", "min", "max"))
    details = []
    if row[f"{column}_n"] > 1:
        interval = write_interval(row[f"{column}_low"], row[f"{column}_high"]) if column in ENDS else ""
        details.append(interval or f"{write_loss(low)}–{write_loss(high)}")
    if 0 < row[f"{column}_n"] < row["n_runs"]:
        details.append(f"{row[f'{column}_n']} of {count_things(row['n_runs'], 'seed')}")
    mark = "best" if best and row["above_best"] == 0 else ""
    return Cell(write_loss(mean), mean, mark, detail=", ".join(details))


def _write_best_step(row: pd.Series) -> Cell:
    low, high = row["best_val_step_min"], row["best_val_step_max"]
    return Cell(write_count(low) if low == high else f"{write_count(low)}–{write_count(high)}", low)


def _write_distance(value: float) -> Cell:
    return Cell("lowest" if value == 0 else write_gap(value), value)


def _write_difference(value: float) -> Cell:
    text = ABSENT if math.isnan(value) else f"{value:+.4f}".replace("-", "−")
    return Cell(text, value)


def _loss(value: float) -> Cell:
    return Cell(write_loss(value), value)


def _number(value: float) -> Cell:
    return Cell(write_number(value), value)
