"""Computes the val loss over fixed windows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gptexp.model.gpt import GPT
from gptexp.training.device import Hardware


@dataclass(frozen=True)
class Evaluation:
    """A loss and what it was measured on."""

    loss: float
    """nats per token"""
    bits_per_byte: float
    tokens: int
    """Number of predicted tokens."""


@torch.no_grad()
def evaluate(
    model: GPT, windows: Iterable[tuple[Tensor, Tensor]], token_bytes: npt.NDArray[np.int64], hardware: Hardware
) -> Evaluation:
    """Mean loss over all predictions in `windows`; every token has the same weight.

    Bits per byte make losses of different tokenizers comparable: total nats / (ln 2 x UTF-8 bytes of the predicted
    tokens).

    Args:
        windows: (x, y) pairs, each int64 (B, T), on the CPU.
        token_bytes: int64 (V,), UTF-8 bytes of each token id.
    """
    was_training = model.training
    model.eval()
    nats, tokens, n_bytes = 0.0, 0, 0
    with hardware.autocast():
        for x, y in windows:
            nats += model.loss(x.to(hardware.device), y.to(hardware.device)).item() * y.numel()
            tokens += y.numel()
            n_bytes += int(token_bytes[y.numpy().ravel()].sum())
    model.train(was_training)
    return Evaluation(nats / tokens, nats / (math.log(2) * max(n_bytes, 1)), tokens)
