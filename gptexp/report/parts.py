"""The parts that a report file can name: everything that can be made from one study instance."""

from __future__ import annotations

from collections.abc import Callable

from gptexp.analysis.instances import Instance
from gptexp.errors import GptexpError, did_you_mean
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.final_losses import final_val_losses
from gptexp.report.figures.grad_norm import gradient_norms
from gptexp.report.figures.initial_loss import initial_losses
from gptexp.report.figures.losses import loss_curves
from gptexp.report.figures.schedules import lr_schedules
from gptexp.report.samples import SampleGrid, collect_samples
from gptexp.report.step_table import losses_at_steps
from gptexp.report.tables import Table, initial_table, results_table, training_table

Part = Drawing | Table | SampleGrid

PARTS: dict[str, Callable[[Instance], Part | None]] = {
    "results": results_table,
    "initial-loss-table": initial_table,
    "initial-loss": initial_losses,
    "loss-curves": loss_curves,
    "final-val-loss": final_val_losses,
    "losses-at-steps": losses_at_steps,
    "lr-schedules": lr_schedules,
    "gradient-norm": gradient_norms,
    "training": training_table,
    "samples": collect_samples,
}


def make_parts(instance: Instance, names: tuple[str, ...]) -> list[Part]:
    """The parts called `names`, in order, without those for which the instance has no data.

    Raises:
        GptexpError: a name that no part has.
    """
    parts = []
    for name in names:
        if name not in PARTS:
            raise GptexpError(f"{name!r} is no part of a report{did_you_mean(name, PARTS)}")
        part = PARTS[name](instance)
        if part is not None:
            parts.append(part)
    return parts
