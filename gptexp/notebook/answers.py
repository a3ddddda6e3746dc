"""What the checks of the notebook share: how a wrong answer is said, and how one is told from another."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gptexp.errors import GptexpError


class NotYet(GptexpError):
    """An answer that is empty or wrong: the message says what is wrong and what to do."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the sentence, without the lines of code that led to it."""
        return [f"Not yet: {self}"]


def is_empty(answer: object) -> bool:
    """Whether an answer is still the `...` of the exercise, or nothing."""
    return answer is None or answer is ...


def call_answer(function: Callable[..., Any], *arguments: Any, known: Mapping[str, str]) -> Any:
    """What the student's function gives.

    Args:
        known: a piece of an error's message -> what to say where the function stops with that error.

    Raises:
        NotYet: it stops with an error.
    """
    try:
        return function(*arguments)
    except Exception as error:
        message = " ".join(str(error).split())
        for piece, sentence in known.items():
            if piece in message:
                raise NotYet(sentence) from None
        raise NotYet(f"your code stops with {type(error).__name__}: {message}") from None


@contextlib.contextmanager
def lend_names(function: Callable[..., Any]) -> Iterator[None]:
    """Inside the `with` block the student's function finds a right `compute_loss`, so that no exercise waits for
    another one, and the CPU as its `device`, where the examples of the checks are.
    """

    def compute_loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    names = inspect.unwrap(function).__globals__
    own = {name: names.get(name) for name in ("compute_loss", "device")}
    names.update(compute_loss=compute_loss, device="cpu")
    try:
        yield
    finally:
        names.update(own)


def is_close(one: Tensor | float, other: Tensor | float) -> bool:
    """Whether two numbers are the same but for rounding."""
    return bool(torch.isclose(torch.as_tensor(one).double(), torch.as_tensor(other).double(), rtol=1e-4, atol=1e-6))


def name_mistake(value: Tensor | float, mistakes: Mapping[str, Sequence[Tensor | float]], otherwise: str) -> NotYet:
    """The mistake that gives `value`.

    Args:
        mistakes: what to say -> the numbers that this mistake can give.
        otherwise: what to say where none gives it.
    """
    found = (sentence for sentence, values in mistakes.items() if any(is_close(value, wrong) for wrong in values))
    return NotYet(next(found, otherwise))
