"""Spikes of the gradient in numbers: how often, how large, when; and the steps around one."""

from __future__ import annotations

import pandas as pd

from gptexp.measures.catalog import MEASURES
from gptexp.measures.spikes import RULE, find_spikes_of
from gptexp.report.figures.clip_spike import MADE, find_made_spikes, tabulate_spikes
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns
from gptexp.wording import ABSENT, write_count, write_loss, write_number

NEAR = 2
"""Rows before and after the spike."""
SPIKE_COLUMNS = [
    "arm",
    "seeds",
    "seeds_with_spike",
    "mean_largest_norm",
    "largest_norm",
    "first_step",
    "last_step",
    "final_val_loss",
    "final_val_loss_with_spike",
]


def norms_at_spike(study: StudyRuns) -> Table | None:
    """Five steps around the batch that was made to be a spike: norm before clipping, norm applied, train loss, arm by
    arm; None where there is none.
    """
    spikes = find_made_spikes(study)
    if not spikes:
        return None
    data = tabulate_spikes(spikes)
    data["from_spike"] = data["step"] - data["arm"].map({arm.name: step for arm, _, step in spikes})
    data = data[data["from_spike"].abs() <= NEAR].reset_index(drop=True)
    columns = [Column("step", "from the spike")]
    for arm, _, _ in spikes:
        columns += [Column(name, group=arm.label, arm=arm.index) for name in ("norm", "applied", "train loss")]
    rows = []
    for offset in range(-NEAR, NEAR + 1):
        cells = [Cell(f"{offset:+d}".replace("-", "−") if offset else "spike", offset)]
        for arm, _, _ in spikes:
            cells += _write_row(data[(data["arm"] == arm.name) & (data["from_spike"] == offset)])
        rows.append(tuple(cells))
    steps = " / ".join(dict.fromkeys(write_count(step) for _, _, step in spikes))
    caption = f"The spike is step {steps}. {MADE}Norm: L2, before clipping. Applied: what the update was made from."
    return Table(
        "norms-at-spike",
        "Five steps around the spike that was made",
        caption,
        tuple(columns),
        tuple(rows),
        data,
        tuple(dict.fromkeys(data["run_id"])),
    )


def natural_spikes_table(study: StudyRuns) -> Table | None:
    """How often, how large and when the gradient spikes on natural data, arm by arm; None where no arm has a spike."""
    found = {arm.name: find_spikes_of(study, arm) for arm in study.arms}
    if not any(spikes for seeds in found.values() for spikes in seeds.values()):
        return None
    columns = (
        Column("arm", numeric=False),
        Column("seeds"),
        Column("with a spike", "seeds"),
        Column("largest norm", "mean of those seeds"),
        Column("largest of all"),
        Column("first and last", "steps"),
        Column(MEASURES["final_val_loss"].label, "mean of all seeds"),
        Column("of those with a spike", "mean"),
    )
    rows, records = [], []
    for arm in study.arms:
        seeds = found[arm.name]
        norms = {seed: max(spike.norm for spike in spikes) for seed, spikes in seeds.items() if spikes}
        largest = pd.Series(norms, dtype=float)
        steps = [spike.step for spikes in seeds.values() for spike in spikes]
        ends = arm.runs.set_index("seed")["final_val_loss"].astype(float)
        mean, most = float(largest.mean()), float(largest.max())
        end, spiked_end = float(ends.mean()), float(ends.reindex(largest.index).mean())
        first, last = min(steps, default=0), max(steps, default=0)
        records.append([arm.name, len(seeds), len(largest), mean, most, first or None, last or None, end, spiked_end])
        rows.append(
            (
                Cell(arm.label, arm.index, arm=arm.index),
                Cell(write_count(len(seeds)), len(seeds)),
                Cell(write_count(len(largest)), len(largest)),
                Cell(write_number(mean), mean),
                Cell(write_number(most), most),
                Cell(f"{write_count(first)} … {write_count(last)}" if steps else ABSENT, first),
                Cell(write_loss(end), end),
                Cell(write_loss(spiked_end), spiked_end),
            )
        )
    return Table(
        "natural-spikes-table",
        "Spikes on natural data",
        f"{RULE} No batch was made for it.",
        columns,
        tuple(rows),
        pd.DataFrame(records, columns=SPIKE_COLUMNS),
        tuple(dict.fromkeys(study.run_ids)),
    )


def _write_row(rows: pd.DataFrame) -> list[Cell]:
    if rows.empty:
        return [Cell(ABSENT)] * 3
    row = rows.iloc[0]
    mark = "best" if row["spike"] else ""
    return [
        Cell(write_number(row["grad_norm"]), row["grad_norm"], mark),
        Cell(write_number(row["applied_norm"]), row["applied_norm"], mark),
        Cell(write_loss(row["train_loss"]), row["train_loss"]),
    ]
