"""Tables of a study instance: cells for people, and a data frame with the same numbers unrounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gptexp.comparisons.summary import average_shared, find_ends, sum_up, summarize_arms
from gptexp.comparisons.texts import group_by_tokens, have_same_tokens, name_tokens
from gptexp.measures.catalog import MEASURES, find_measure
from gptexp.measures.measure import Measure
from gptexp.report.figures.initial_loss import tabulate_initial_losses
from gptexp.report.units import find_unit
from gptexp.runs.study_runs import StudyRuns
from gptexp.training.flags import FLAG_RULES
from gptexp.wording import (
    ABSENT,
    ONE_SEED,
    count_things,
    write_count,
    write_gap,
    write_interval,
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
SEVERAL_SEEDS = (
    "Means over the seeds that completed, under the final losses their 95% interval (Student's t), under the best one "
    "the lowest and the highest seed. A seed that diverged is counted, not averaged."
)


ENDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("final_val_loss", {"marks_best": True}),
    ("perplexity", {}),
    ("final_val_bpb", {"has_detail": False}),
    ("best_val_loss", {}),
    ("best_val_step", {"heading": "at step"}),
    ("final_train_loss", {}),
)
"""The measures of the results table, and how it shows them."""
TRAINING = ("last_step", "clipped_fraction", "max_grad_norm", "tokens_seen", "epochs", "duration_s", "peak_memory_mib")
"""The measures of the table of the training."""
Shown = tuple[Column, Callable[[pd.Series], Cell]]


def results_table(study: StudyRuns) -> Table | None:
    """How the arms compare at their ends; None for untrained models."""
    if study.is_untrained:
        return None
    data = summarize_arms(study)
    several = len(study.seeds) > 1
    cells: list[Shown] = [(ARM, lambda row: _name_arm(study, row)), (Column("outcome", numeric=False), _write_outcome)]
    cells += [show_measure(study, data, name, **how) for name, how in ENDS]
    if find_unit(study.runs, "val").per_gpt2_token:
        cells.insert(3, show_measure(study, data, "val_loss_per_gpt2_token", has_detail=False))
    if len(study.arms) > 1:
        several_texts = not have_same_tokens(study.arms)
        note = "same text, nats" if several_texts else "nats"
        if any(average_shared(group, "final_val_loss").has_others for group in group_by_tokens(study.arms)):
            note += ", same seeds"
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
    cells: list[Shown] = [(ARM, lambda row: _name_arm(study, row))]
    cells += [show_measure(study, data, name) for name in TRAINING]
    data["tokens_per_sec"] = data["tokens_seen"] / data["duration_s"].where(data["duration_s"] > 0)
    speed = Column("tokens per second"), lambda row: Cell(write_count(row["tokens_per_sec"]), row["tokens_per_sec"])
    cells.insert(-1, speed)
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
                *(Cell(MEASURES[name].write(first[name]), first[name]) for name in ("vocab_size", "n_embd")),
                Cell(write_range(own["initial_val_loss"].tolist()), own["initial_val_loss"].mean()),
                Cell(MEASURES["predicted"].write(first["predicted"]), first["predicted"]),
                _write_difference(own["difference"].mean()),
                Cell(MEASURES["uniform"].write(first["uniform"]), first["uniform"]),
            )
        )
    columns = (
        ARM,
        Column("seeds"),
        Column("init", numeric=False),
        *(name_column(MEASURES[name]) for name in ("vocab_size", "n_embd")),
        Column("initial loss", MEASURES["initial_val_loss"].unit),
        name_column(MEASURES["predicted"]),
        Column("difference", "nats"),
        name_column(MEASURES["uniform"]),
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
    cells: Sequence[Shown],
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


def name_column(measure: Measure, heading: str = "") -> Column:
    """The column of a measure, under its label or another heading."""
    return Column(heading or measure.label, measure.note)


def show_measure(
    study: StudyRuns,
    data: pd.DataFrame,
    name: str,
    *,
    heading: str = "",
    has_detail: bool = True,
    marks_best: bool = False,
) -> Shown:
    """The column of a measure, and what writes its cells from the rows of `data`.

    Args:
        data: one row per arm, as `summarize_arms` has it; gets the columns of a measure that the summary lacks.
        heading: instead of the measure's label.
        has_detail: whether an interval or range stands under the number.
        marks_best: whether the arm that ends lowest is marked.
    """
    measure = find_measure(name)
    if not {name, f"{name}_mean"} & set(data.columns):
        columns = [sum_up(study, arm, measure) | find_ends(study, arm, measure) for arm in study.arms]
        data[list(columns[0])] = pd.DataFrame(columns)
    column = name_column(measure, heading)
    if f"{name}_mean" not in data.columns:
        return column, lambda row: Cell(measure.write(row[name]), row[name])
    if measure.is_listed_one_by_one:
        return column, lambda row: _write_ends(row, measure)
    return column, lambda row: _write_spread(row, measure, has_detail=has_detail, marks_best=marks_best)


def _write_spread(row: pd.Series, measure: Measure, *, has_detail: bool, marks_best: bool) -> Cell:
    """Mean over the seeds that have the value, its interval or range, and of how many seeds where not of all."""
    mean, low, high, n = (row[f"{measure.name}_{kind}"] for kind in ("mean", "min", "max", "n"))
    details = []
    if n > 1:
        interval = ""
        if measure.over_seeds == "interval":
            interval = write_interval(row[f"{measure.name}_low"], row[f"{measure.name}_high"], measure.write)
        details.append(interval or f"{measure.write(low)}–{measure.write(high)}")
    if 0 < n < row["n_runs"]:
        details.append(f"{n} of {count_things(row['n_runs'], 'seed')}")
    mark = "best" if marks_best and row["above_best"] == 0 else ""
    return Cell(measure.write(mean), mean, mark, detail=", ".join(details) if has_detail else "")


def _write_ends(row: pd.Series, measure: Measure) -> Cell:
    low, high = row[f"{measure.name}_min"], row[f"{measure.name}_max"]
    # Where no run has a number, both are NaN, and NaN equals nothing.
    one = low == high or math.isnan(low)
    return Cell(measure.write(low) if one else f"{measure.write(low)}–{measure.write(high)}", low)


def _write_distance(value: float) -> Cell:
    return Cell("lowest" if value == 0 else write_gap(value), value)


def _write_difference(value: float) -> Cell:
    text = ABSENT if math.isnan(value) else f"{value:+.4f}".replace("-", "−")
    return Cell(text, value)
