"""The parts that a report file can name: everything that can be made from one study instance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from gptexp.errors import GptexpError, did_you_mean
from gptexp.report.code import CodePair
from gptexp.report.declare import Show
from gptexp.report.difference_table import differences_table
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.clip_spike import clip_spike, natural_spikes
from gptexp.report.figures.final_losses import final_val_losses
from gptexp.report.figures.grad_norm import gradient_norms
from gptexp.report.figures.initial_loss import initial_losses
from gptexp.report.figures.ladder import lr_ladder
from gptexp.report.figures.losses import loss_curves
from gptexp.report.figures.norm_distribution import norm_distribution
from gptexp.report.figures.phases import explain_schedule
from gptexp.report.figures.pinned import pinned_samples
from gptexp.report.figures.schedules import lr_schedules
from gptexp.report.figures.scissors import scissors
from gptexp.report.figures.smoothings import three_smoothings
from gptexp.report.ladder_table import ladder_table
from gptexp.report.limits import cut_rows, show_some_arms
from gptexp.report.samples import SampleGrid, collect_samples
from gptexp.report.speed_table import speed_table
from gptexp.report.spike_table import natural_spikes_table, norms_at_spike
from gptexp.report.step_table import losses_at_steps
from gptexp.report.tables import Table, initial_table, results_table, training_table
from gptexp.runs.study_runs import StudyRuns, keep_arms

Part = Drawing | Table | SampleGrid | CodePair

PARTS: dict[str, Callable[[StudyRuns], Part | None]] = {
    "results": results_table,
    "differences": differences_table,
    "speed": speed_table,
    "lr-sensitivity": ladder_table,
    "lr-ladder": lr_ladder,
    "initial-loss-table": initial_table,
    "initial-loss": show_some_arms(initial_losses),
    "loss-curves": show_some_arms(loss_curves),
    "final-val-loss": show_some_arms(final_val_losses),
    "losses-at-steps": show_some_arms(losses_at_steps),
    "lr-schedules": show_some_arms(lr_schedules),
    "schedule-explained": explain_schedule,
    "gradient-norm": show_some_arms(gradient_norms),
    "natural-spikes": show_some_arms(natural_spikes),
    "natural-spikes-table": natural_spikes_table,
    "clip-spike": show_some_arms(clip_spike),
    "norms-at-spike": show_some_arms(norms_at_spike),
    "norm-distribution": show_some_arms(norm_distribution),
    "pinned-samples": pinned_samples,
    "scissors": scissors,
    "three-smoothings": three_smoothings,
    "training": training_table,
    "samples": show_some_arms(collect_samples),
}


def make_parts(study: StudyRuns, names: tuple[str, ...]) -> list[Part]:
    """The parts called `names`, in order, without those for which the instance has no data.

    Raises:
        GptexpError: a name that no part has.
    """
    parts = [find_part(name)(study) for name in names]
    return [cut_rows(part) if isinstance(part, Table) else part for part in parts if part is not None]


def make_part(study: StudyRuns, show: Show) -> Part | None:
    """What a chapter shows of an instance; None where it has no data.

    Raises:
        GptexpError: a name that no part has.
    """
    make = find_part(show.part)
    chosen = keep_arms(study, show.arms) if show.arms else study
    part = make(chosen) if chosen else None
    if part is None:
        return None
    part = cut_rows(part) if isinstance(part, Table) else part
    return dataclasses.replace(part, name=show.name or part.name, title=show.title or part.title)


def find_part(name: str) -> Callable[[StudyRuns], Part | None]:
    """The maker of the part called `name`.

    Raises:
        GptexpError: there is none.
    """
    if name not in PARTS:
        raise GptexpError(f"{name!r} is no part of a report{did_you_mean(name, PARTS)}")
    return PARTS[name]
