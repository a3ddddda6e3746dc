"""What a measure is: one number of a run, with its unit, its words, and what may be said of it before the run's end.

Nothing heavy is imported here or in the catalogue, so that `gptexp runs list` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gptexp.errors import GptexpError
from gptexp.wording import join_words, write_loss

if TYPE_CHECKING:
    from gptexp.measures.curves import Floats
    from gptexp.runs.run_records import RunRecords

Read = Callable[["RunRecords", int | None], float]
"""The number of one run, NaN where it has none; with the step behind the `@` of a measure that takes one."""
NATS = "nats per token"
AT_STEPS, AT_EVALUATIONS = "at every step", "at every evaluation"
EVENT = "1 where it happened, else 0"
FINAL_WINDOW = 10
"""Steps in the mean that stands for "the train loss at a step", as in a run's `final_train_loss`."""


@dataclass(frozen=True)
class Measure:
    """One number of a run. Its name is the same everywhere: in claims, sentences, tables, columns and on the command
    line.
    """

    name: str
    unit: str
    label: str
    """In words, as the heading of a column."""
    read: Read | None = None
    """None: the number stands in the run's row of `Frames.runs` under the measure's name."""
    note: str = ""
    """What stands under the label in a table, where it needs one."""
    write: Callable[[float], str] = write_loss
    over_seeds: Literal["interval", "spread", "mean", "highest", "each", "count"] = "spread"
    """How the numbers of several seeds are shown. interval: their mean, in a table with its 95% interval. spread: their
    mean, the lowest and the highest. mean, highest: that alone. each: every different one. count: how many there are.
    """
    through: Callable[[float], float] | None = None
    """What the number that `read` gives goes through, and so does the mean over seeds: the perplexity of several seeds
    is that of their mean loss."""
    step: Literal["none", "may", "must"] = "none"
    """Whether a step stands behind the name: `train_loss@500`."""
    known_from: int | None = None
    """The step from which a run that is not over can tell it; None: only a run that is over, or has done all its steps,
    can. A step behind the name comes before it."""
    of_result: bool = False
    """Whether it is a number in result.json, under the same name."""
    listed: bool = False
    """Whether `gptexp runs list --json` always gives it. That list is made from result.json: any other measure is read
    where `--measure` asks for it."""
    at_the_end: bool = False
    """Whether it says where a run ended. A run that did not get there has none, whatever its result says
    (`gptexp.measures.ends`)."""
    of_whole_split: bool = False
    """Whether it needs the evaluation over the whole val split, which only a completed run has."""
    diverged_is_high: bool = False
    """Whether a diverged run that has no such number counts as higher than any."""
    of_a_stretch: bool = False
    """Whether it is measured over the steps that there are: only runs that got equally far can be compared."""
    logged: str = ""
    """When the records hold it under the same name, `AT_STEPS` or `AT_EVALUATIONS`: W&B and sweeps then know the last
    one."""

    def __post_init__(self) -> None:
        if self.listed and not self.of_result:
            raise GptexpError(
                f"measure {self.name}: listed=True is for numbers of result.json; leave it out, and `gptexp runs list "
                f"--measure {self.name}` shows it"
            )

    @property
    def in_nats(self) -> bool:
        """Whether it depends on what a token is."""
        return self.unit == NATS

    @property
    def is_event(self) -> bool:
        """Whether it is 1 where something happened and 0 where it didn't."""
        return self.unit == EVENT

    @property
    def is_goal(self) -> bool:
        """Whether a sweep can improve it: a loss in the result, or what the records hold."""
        return bool(self.logged) or (self.of_result and self.diverged_is_high)

    @property
    def is_listed_one_by_one(self) -> bool:
        """Whether a sentence names every different number: a mean of steps is a step that no run knows."""
        return self.over_seeds == "each" or self.unit == "step"

    def of(self, run: RunRecords, step: int | None = None) -> float:
        """The number of one run, NaN where it has none, before what it goes `through`."""
        return self.read(run, step) if self.read else run.number(self.name)

    def find_needed_step(self, step: int | None) -> int | None:
        """The step from which a run that is not over can tell it; None where only its end can."""
        return step if step is not None else self.known_from

    def read_step(self, text: str) -> int | None:
        """The step behind an `@`; None of an empty text.

        Raises:
            GptexpError: it needs one, takes none, or that is none.
        """
        if not text and self.step != "must":
            return None
        if self.step == "none":
            raise GptexpError(f"measure {self.name} takes no step, found {self.name}@{text}")
        if not text.isdecimal():
            raise GptexpError(f"measure {self.name} takes a whole step, like {self.name}@500; found {text!r}")
        return int(text)

    def average(self, values: Sequence[float] | Floats) -> float:
        """The one number of several seeds: their mean, the highest, or how many they are.

        Args:
            values: what `of` gave, finite, at least one.
        """
        if self.over_seeds == "count":
            return float(len(values))
        import numpy as np

        return self.finish(float(np.max(values) if self.over_seeds == "highest" else np.mean(values)))

    def write_all(self, values: Sequence[float]) -> str:
        """The numbers of several seeds in a sentence.

        Args:
            values: what `of` gave, finite, at least one.
        """
        if self.is_listed_one_by_one:
            return join_words([self.write(value) for value in sorted(set(values))])
        middle = self.write(self.average(values))
        if self.over_seeds not in ("interval", "spread"):
            return middle
        low, high = self.write(min(values)), self.write(max(values))
        return middle if low == high else f"{middle} ({low}–{high})"

    def finish(self, value: float) -> float:
        """What the number of one run goes through."""
        return self.through(value) if self.through else value
