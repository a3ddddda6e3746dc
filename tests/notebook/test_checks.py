"""The checks of the exercises: right answers pass, and each mistake is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptexp.notebook.answers import NotYet
from gptexp.notebook.build import SOURCE, find_source
from gptexp.notebook.check_training import check_loss, check_train_step
from gptexp.notebook.exercises import EXERCISES, Exercise
from gptexp.notebook.instructor import ask, run_cell
from gptexp.notebook.percent import Cell, read_cells

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}
WRONG = [(exercise, wrong) for exercise in EXERCISES for wrong in exercise.wrong]
COMMON_MISTAKES = {
    "UnshiftedWindows": "there is no shift",
    "loss_shifted_twice": "shifts the targets once more",
    "loss_without_flatten": "flatten the logits from (B, T, V) to (B*T, V)",
    "loss_over_windows": "the mean is taken over the wrong axis",
    "loss_summed_over_positions": "the mean is taken over the wrong axis",
    "loss_of_last_position": "only the last position is counted",
    "step_clipped_late": "clipped after the step",
    "step_clipped_early": "clipped before loss.backward()",
    "schedule_to_zero": "the cosine ends at zero",
    "schedule_late": "the warmup is off by one, a step late",
    "schedule_early": "the warmup is off by one, a step early",
    "evaluate_first_batch": "next(iter(loader)) starts the loader anew",
}
"""Wrong answer -> what its sentence says."""


@pytest.fixture(scope="module")
def cells() -> dict[str, Cell]:
    """The cells of the exercises by name."""
    return {cell.exercise: cell for cell in read_cells(find_source().read_text(encoding="utf-8")) if cell.exercise}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
def test_the_solution_passes(exercise: Exercise, cells: dict[str, Cell], capsys: pytest.CaptureFixture[str]) -> None:
    """The solved edition's lines are right, and the check says so."""
    exercise.check(run_cell(cells[exercise.name], "solved"))
    assert capsys.readouterr().out.startswith("Right: ")


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
def test_an_empty_answer_is_told_so(exercise: Exercise, cells: dict[str, Cell]) -> None:
    """The student's edition as it comes fails each check with the sentence that the answer is still empty."""
    said = ask(exercise, run_cell(cells[exercise.name], "student"))
    assert said
    assert "still empty" in said


@pytest.mark.parametrize(("exercise", "wrong"), WRONG, ids=[wrong.__name__ for _, wrong in WRONG])
def test_a_wrong_answer_is_named(exercise: Exercise, wrong: Callable[..., Any]) -> None:
    """Each wrong answer is refused with one line that says what to do, the common ones with a sentence of their own."""
    said = ask(exercise, wrong)
    assert said
    assert said.endswith(".")
    assert "\n" not in said
    assert "your code stops" not in said
    assert COMMON_MISTAKES.get(wrong.__name__, "") in said


def test_every_common_mistake_is_tried() -> None:
    """The list above names wrong answers that there are."""
    assert COMMON_MISTAKES.keys() <= {wrong.__name__ for _, wrong in WRONG}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
def test_mistakes_are_told_apart(exercise: Exercise) -> None:
    """A check has more to say than that it is wrong: hardly two mistakes get the same sentence."""
    said = [ask(exercise, wrong) for wrong in exercise.wrong]
    assert len(set(said)) >= len(said) - 1


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
def test_code_that_stops_is_reported(exercise: Exercise) -> None:
    """An answer that raises is an answer: its error is named, and no traceback buries it."""

    class Stops:
        def __init__(self, *_: Any) -> None: ...

        def __getitem__(self, _: int) -> Any:
            raise ZeroDivisionError("by zero")

    def stop(*_: Any) -> Any:
        raise ZeroDivisionError("by zero")

    assert (
        ask(exercise, Stops if exercise.name == "Windows" else stop)
        == "your code stops with ZeroDivisionError: by zero"
    )


def test_a_notebook_shows_only_the_sentence() -> None:
    """What IPython prints of a failed check is one line."""
    assert NotYet("the loss is empty.")._render_traceback_() == ["Not yet: the loss is empty."]


def test_other_right_ways_pass() -> None:
    """Checks ask for the numbers, not for the spelling."""

    def transposed(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.transpose(1, 2), targets)

    def by_hand(logits: Tensor, targets: Tensor) -> Tensor:
        return -logits.log_softmax(-1).gather(-1, targets[..., None]).mean()

    def clip_by_hand(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> Any:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        for gradient in gradients:
            gradient *= min(1.0, 1.0 / norm.item())
        optimizer.step()
        return loss, norm

    check_loss(transposed)
    check_loss(by_hand)
    check_train_step(clip_by_hand)


def test_one_exercise_does_not_wait_for_another(cells: dict[str, Cell]) -> None:
    """Step and evaluation are checked with a right loss, whatever the student's own still is, and on the CPU, whatever
    trains the model; both names are as before afterwards."""
    for name in ("train_step", "evaluate"):
        answer = run_cell(cells[name], "solved")
        names = getattr(answer, "__wrapped__", answer).__globals__
        own = {"compute_loss": lambda *_: ..., "device": "cuda:7"}
        names.update(own)
        assert ask(BY_NAME[name], answer) is None
        assert {key: names[key] for key in own} == own


def test_the_source_has_the_name_that_the_lesson_gives() -> None:
    """Its editions are called as the lesson's document calls the notebook."""
    assert SOURCE == "4-3-2-pretraining.py"
