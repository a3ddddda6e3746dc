"""Wrong answers to the exercises on what the model reads; each docstring names the mistake."""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UnshiftedWindows:
    """no shift: input and target are the same tokens"""

    def __init__(self, tokens: Tensor, block_size: int) -> None:
        self.tokens, self.block_size = tokens, block_size

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        start = index * self.block_size
        x = self.tokens[start : start + self.block_size]
        return x, self.cut_target(start, start + self.block_size)

    def cut_target(self, start: int, stop: int) -> Any:
        return self.tokens[start:stop]


class BackwardWindows(UnshiftedWindows):
    """shifted the wrong way"""

    def cut_target(self, start: int, stop: int) -> Any:
        return self.tokens[start - 1 : stop - 1]


class ShortWindows(UnshiftedWindows):
    """target one token too short"""

    def cut_target(self, start: int, stop: int) -> Any:
        return self.tokens[start + 1 : stop]


class LastTokenWindows(UnshiftedWindows):
    """only the last token as target"""

    def cut_target(self, start: int, stop: int) -> Any:
        return self.tokens[stop]


class FarWindows(UnshiftedWindows):
    """shifted by two"""

    def cut_target(self, start: int, stop: int) -> Any:
        return self.tokens[start + 2 : stop + 2]


@torch.no_grad()
def evaluate_first_batch(model: nn.Module, loader: Any, n_batches: int) -> float:
    """next(iter(loader)) in a loop"""
    model.eval()
    total = 0.0
    for _ in range(n_batches):
        x, y = next(iter(loader))
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
    return total / n_batches


@torch.no_grad()
def evaluate_everything(model: nn.Module, loader: Any, n_batches: int) -> float:
    """the whole loader"""
    model.eval()
    total = 0.0
    for x, y in loader:
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
    return total / n_batches


@torch.no_grad()
def evaluate_one_less(model: nn.Module, loader: Any, n_batches: int) -> float:
    """one batch too few"""
    model.eval()
    total = 0.0
    for x, y in islice(loader, n_batches - 1):
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
    return total / n_batches


@torch.no_grad()
def evaluate_summed(model: nn.Module, loader: Any, n_batches: int) -> float:
    """sum instead of mean"""
    model.eval()
    return sum(F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item() for x, y in islice(loader, n_batches))


def evaluate_with_gradients(model: nn.Module, loader: Any, n_batches: int) -> float:
    """gradients kept"""
    total = 0.0
    for x, y in islice(loader, n_batches):
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
    return total / n_batches
