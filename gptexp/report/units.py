"""The unit of a study's losses, in words, and the lesson's beside it where they differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from gptexp.data.units import Split, count_per_gpt2_token
from gptexp.wording import write_loss

LESSON_UNIT = "nats per GPT-2 token"


@dataclass(frozen=True)
class Unit:
    """What the losses of some runs are per."""

    noun: str
    """token or character."""
    per_gpt2_token: float | None = None
    """Their tokens per GPT-2 token; None where they are GPT-2 tokens, or where it isn't known."""

    @property
    def nats(self) -> str:
        return f"nats per {self.noun}"

    def write_lesson_loss(self, loss: float) -> str:
        """` (6.629 per GPT-2 token)`; empty where the loss is in that unit, or where it isn't known."""
        if self.per_gpt2_token is None or not math.isfinite(loss):
            return ""
        return f" ({write_loss(loss * self.per_gpt2_token)} per GPT-2 token)"


def find_unit(runs: pd.DataFrame, split: Split) -> Unit:
    """The unit of the losses of `runs` (rows of `Frames.runs`) on a split; of runs on different texts without the
    lesson's.
    """
    if not runs["tokenizer"].eq("char").all():
        return Unit("token")
    sums, counts = set(runs["corpus_checksum"]), set(runs[f"{split}_tokens"].astype(float))
    if len(sums) != 1 or len(counts) != 1:
        return Unit("character")
    return Unit("character", count_per_gpt2_token(str(sums.pop()), split, counts.pop()))
