"""The gradient norms of the steps around a spike, before and after clipping."""

from __future__ import annotations

import pandas as pd

from gptexp.analysis.instances import Instance
from gptexp.report.figures.clip_spike import find_spikes, tabulate_spikes
from gptexp.report.tables import Cell, Column, Table
from gptexp.report.wording import ABSENT, write_count, write_loss, write_number

NEAR = 2
"""Rows before and after the spike."""


def norms_at_spike(instance: Instance) -> Table | None:
    """Five steps around the spike: norm before clipping, norm applied, train loss, arm by arm; None without a spike."""
    spikes = find_spikes(instance)
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
    caption = f"The spike is step {steps}. Norm: L2, before clipping. Applied: what the update was made from."
    return Table(
        "norms-at-spike",
        "Five steps around the spike",
        caption,
        tuple(columns),
        tuple(rows),
        data,
        tuple(dict.fromkeys(data["run_id"])),
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
