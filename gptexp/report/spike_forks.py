"""The natural spikes of a study's runs, each with clipping and without it: the run itself beside its fork."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from gptexp.measures.spikes import Spike, find_natural_spikes
from gptexp.report.fork_table import SMOOTHED, find_highest, mean_up_to
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.frames import Frames
from gptexp.runs.run_records import RunRecords, list_runs_of
from gptexp.runs.study_runs import ArmRuns, StudyRuns, select_studies
from gptexp.wording import ABSENT, write_count, write_loss, write_number

CLIPPED, FREE = "with clipping", "without"
DATA_COLUMNS = [
    "arm",
    "seed",
    "run_id",
    "fork_id",
    "spike_step",
    "norm",
    "clipped_in_run",
    "threshold",
    "loss_before",
    "last_step",
    "worst_clipped",
    "worst_unclipped",
    "last_clipped",
    "last_unclipped",
    "diverged",
]


@dataclass(frozen=True)
class _Pair:
    """A run and its fork before one of its spikes: one of them clips from the spike on, the other doesn't."""

    arm: ArmRuns
    spike: Spike
    run: RunRecords
    fork: RunRecords

    @property
    def sides(self) -> tuple[RunRecords, RunRecords]:
        """The one that clips, and the one that doesn't."""
        return (self.fork, self.run) if math.isnan(self.run.number("grad_clip")) else (self.run, self.fork)

    @property
    def last_step(self) -> int:
        """The last step that both have."""
        return min(self.run.last_logged_step, self.fork.last_logged_step)

    @property
    def diverged(self) -> str:
        """Which of them did up to there: empty, one, or both."""
        ended = [
            name
            for name, one in zip((CLIPPED, FREE), self.sides, strict=True)
            if (at := one.diverged_at) is not None and at <= self.last_step + 1
        ]
        return " and ".join(ended)

    def measure(self) -> list[float]:
        """Loss before, the worst loss of both sides, their last ones; nats per token."""
        step, last = self.spike.step - 1, self.last_step
        worst = [find_highest(one, self.spike.step, last) for one in self.sides]
        ends = [mean_up_to(one, last, step) for one in self.sides]
        return [mean_up_to(self.run, step), *worst, *ends]


def find_forks(frames: Frames, studies: Sequence[StudyRuns]) -> dict[str, list[StudyRuns]]:
    """By the key of each study that has some, the studies of forks of its runs, whether they were asked for or not."""
    forks = frames.runs.loc[frames.runs["parent"].notna(), "run_id"]
    if forks.empty:
        return {}
    asked = frames.members["run_id"].isin(forks)
    found: dict[str, list[StudyRuns]] = {}
    for instance in select_studies(frames, list(frames.members.loc[asked, "study"].unique())):
        parents = set(instance.runs["parent"].dropna())
        for study in studies:
            if study.key != instance.key and parents & set(study.run_ids):
                found.setdefault(study.key, []).append(instance)
    return found


def spike_forks_table(study: StudyRuns, forks: Sequence[StudyRuns]) -> Table | None:
    """Each natural spike before which a run was forked with clipping turned on or off; None where none was.

    Args:
        forks: the studies of forks of its runs.
    """
    spikes = {
        run.run_id: (arm, run, find_natural_spikes(study, run.steps) or [])
        for arm in study.arms
        for run in list_runs_of(study, arm)
    }
    pairs = sorted(_find_pairs(spikes, forks), key=lambda pair: -pair.spike.norm)
    if not pairs:
        return None
    columns = (
        Column("arm", numeric=False),
        Column("seed"),
        Column("spike at", "step"),
        Column("norm", "of that step"),
        Column("loss", "before"),
        Column("worst loss", CLIPPED),
        Column("worst loss", FREE),
        Column("up to", "step"),
        Column("last loss", CLIPPED),
        Column("last loss", FREE),
        Column("diverged", numeric=False),
    )
    data = pd.DataFrame([_describe(pair) for pair in pairs], columns=DATA_COLUMNS)
    return Table(
        "spike-forks",
        "Each natural spike with clipping and without",
        _write_caption(data, sum(len(found) for _, _, found in spikes.values())),
        columns,
        tuple(_write_row(pair) for pair in pairs),
        data,
        tuple(dict.fromkeys(one.run_id for pair in pairs for one in (pair.run, pair.fork))),
    )


def _find_pairs(
    spikes: dict[str, tuple[ArmRuns, RunRecords, list[Spike]]], forks: Sequence[StudyRuns]
) -> Iterator[_Pair]:
    for instance in forks:
        for fork in (run for arm in instance.arms for run in list_runs_of(instance, arm)):
            arm, run, found = spikes.get(str(fork.row.get("parent")), (None, None, []))
            if arm is None or run is None or _clips(run) == _clips(fork):
                continue
            step = fork.number("fork_step") + 1
            yield from (_Pair(arm, spike, run, fork) for spike in found if spike.step == step)


def _clips(run: RunRecords) -> bool:
    return not math.isnan(run.number("grad_clip"))


def _describe(pair: _Pair) -> list[object]:
    before, *others = pair.measure()
    run = pair.run
    who = [pair.arm.name, run.seed, run.run_id, pair.fork.run_id, pair.spike.step, pair.spike.norm, _clips(run)]
    return [*who, pair.sides[0].number("grad_clip"), before, pair.last_step, *others, pair.diverged]


def _write_row(pair: _Pair) -> tuple[Cell, ...]:
    before, *others = (Cell(write_loss(value) if math.isfinite(value) else ABSENT, value) for value in pair.measure())
    return (
        Cell(pair.arm.label, pair.arm.index, arm=pair.arm.index),
        Cell(str(pair.run.seed), pair.run.seed),
        Cell(write_count(pair.spike.step), pair.spike.step),
        Cell(write_number(pair.spike.norm), pair.spike.norm),
        before,
        *others[:2],
        Cell(write_count(pair.last_step), pair.last_step),
        *others[2:],
        Cell(pair.diverged or "neither", pair.diverged),
    )


def _write_caption(data: pd.DataFrame, n_spikes: int) -> str:
    worse, behind = (int((data[f"{name}_unclipped"] > data[f"{name}_clipped"]).sum()) for name in ("worst", "last"))
    several = int(data.duplicated("run_id", keep=False).sum())
    shared = " Spikes of one run share its weights, so that they are no independent trials." if several else ""
    return (
        f"{write_count(len(data))} of the {write_count(n_spikes)} natural spikes of these runs, the largest first. "
        "Each run was forked before the spike: the same weights and batches, and from the spike on, not at that step "
        "alone, the clipping that the other one has. Without clipping the worst loss was higher at "
        f"{write_count(worse)} of them and the last loss at {write_count(behind)}. Losses are train losses: before and "
        f"last are means of {SMOOTHED} steps, the worst is that of one step behind the spike.{shared} "
        "gptexp fork RUN --around-spikes makes such forks."
    )
