"""The exercises of the notebook: what each asks for, its check, and the wrong answers that the check must tell apart.

Tests run every check on every answer here, and the instructor's page shows what it says to each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gptexp.notebook import wrong_data, wrong_losses, wrong_schedules, wrong_steps
from gptexp.notebook.check_data import check_evaluate, check_windows
from gptexp.notebook.check_schedule import check_schedule
from gptexp.notebook.check_training import check_loss, check_train_step


@dataclass(frozen=True)
class Exercise:
    """Lines of the notebook that the student writes."""

    name: str
    """As the cell's metadata name it; it is also what the cell defines."""
    title: str
    check: Callable[[Any], None]
    wrong: tuple[Callable[..., Any], ...]
    """Answers that are wrong, each with a docstring that names the mistake."""


EXERCISES = (
    Exercise(
        "Windows",
        "The target of a window",
        check_windows,
        (
            wrong_data.UnshiftedWindows,
            wrong_data.BackwardWindows,
            wrong_data.ShortWindows,
            wrong_data.LastTokenWindows,
            wrong_data.FarWindows,
        ),
    ),
    Exercise(
        "compute_loss",
        "The loss over all positions",
        check_loss,
        (
            wrong_losses.loss_without_flatten,
            wrong_losses.loss_with_flat_logits,
            wrong_losses.loss_over_windows,
            wrong_losses.loss_summed_over_positions,
            wrong_losses.loss_summed,
            wrong_losses.loss_over_wrong_softmax,
            wrong_losses.loss_of_last_position,
            wrong_losses.loss_shifted_twice,
            wrong_losses.loss_with_cut_positions,
            wrong_losses.loss_of_probabilities,
            wrong_losses.loss_with_wrong_sign,
            wrong_losses.loss_in_other_order,
            wrong_losses.loss_as_number,
        ),
    ),
    Exercise(
        "train_step",
        "Clipping the gradient",
        check_train_step,
        (
            wrong_steps.step_clipped_late,
            wrong_steps.step_clipped_early,
            wrong_steps.step_clipped_by_value,
            wrong_steps.step_clipped_elsewhere,
            wrong_steps.step_that_normalises,
            wrong_steps.step_without_norm,
        ),
    ),
    Exercise(
        "evaluate",
        "The loss on held-out text",
        check_evaluate,
        (
            wrong_data.evaluate_first_batch,
            wrong_data.evaluate_everything,
            wrong_data.evaluate_one_less,
            wrong_data.evaluate_summed,
            wrong_data.evaluate_with_gradients,
        ),
    ),
    Exercise(
        "learning_rate",
        "Cosine decay",
        check_schedule,
        (
            wrong_schedules.schedule_to_zero,
            wrong_schedules.schedule_late,
            wrong_schedules.schedule_early,
            wrong_schedules.schedule_from_start,
            wrong_schedules.schedule_unfinished,
            wrong_schedules.schedule_whole_cosine,
            wrong_schedules.schedule_quarter,
            wrong_schedules.schedule_rising,
            wrong_schedules.schedule_without_pi,
            wrong_schedules.schedule_above_peak,
            wrong_schedules.schedule_linear,
        ),
    ),
)
