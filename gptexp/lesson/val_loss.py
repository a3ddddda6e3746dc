"""Two ways to estimate the val loss from a few batches: one that only looks right, and one that is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from itertools import islice
from typing import Protocol

from torch import Tensor
from torch.utils.data import Dataset

Batch = tuple[Tensor, Tensor]
Measure = Callable[[Tensor, Tensor], float]
"""(x, y), int64 (B, T) each -> loss in nats per token."""


class Loader(Iterable[Batch], Sized, Protocol):
    """The part of a DataLoader that the estimates use: an iterable of batches with a length."""


class Windows(Dataset[Batch]):
    """Text as examples: window i holds T tokens from position i·T on; its targets are shifted by one."""

    def __init__(self, tokens: Tensor, block_size: int) -> None:
        """int64 (N,) tokens, cut into windows of `block_size`."""
        self.tokens, self.block_size = tokens, block_size

    def __len__(self) -> int:
        return (len(self.tokens) - 1) // self.block_size

    def __getitem__(self, index: int) -> Batch:
        start = index * self.block_size
        return self.tokens[start : start + self.block_size], self.tokens[start + 1 : start + self.block_size + 1]


def estimate_wrong(measure: Measure, val_loader: Loader, val_steps: int) -> float:
    """Meant as the mean val loss, but every iter() starts anew, so all `val_steps` batches are the first one."""
    total = 0.0
    for _ in range(val_steps):
        x, y = next(iter(val_loader))
        total += measure(x, y)
    return total / val_steps


def estimate_right(measure: Measure, val_loader: Loader, val_steps: int) -> float:
    """Mean val loss over `val_steps` different batches."""
    total = 0.0
    for x, y in islice(val_loader, val_steps):
        total += measure(x, y)
    return total / val_steps
