"""How far a float32 result may lie from the exact one: bounds from the sizes of its sums, on any processor.

A processor, a library or a thread count decides in which order a sum is added up, and whether products are rounded
first. Whatever the order, the error of a sum of n products is at most gamma(n) times the sum of their absolute values.
A test that compares rounded numbers takes its tolerance from here, by the length of the sums behind them. Where no
tolerance is given, pytest's own (a millionth) compares float64 numbers of a few operations: 10^9 times their rounding.

Source: Higham 2002, "Accuracy and stability of numerical algorithms", 2nd edition, equations 2.4, 3.4 and 3.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

HALF_STEP = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}
"""The largest relative error of one rounding to the nearest number, by dtype."""
ROUND = HALF_STEP[torch.float32]
SMALLEST = 2.0**-126
"""Smaller float32 numbers may count as zero."""
FUNCTION = 4 * ROUND
"""Relative error of one exp, log or log1p: vector libraries promise 4 units in the last place at worst (SLEEF, VML)."""


def gamma(roundings: int, unit: float = ROUND) -> float:
    """Relative error after so many roundings, each of at most `unit`."""
    return roundings * unit / (1 - roundings * unit)


def gamma_random(roundings: int) -> float:
    """Relative error of a sum of so many products whose roundings go either way by chance: some sqrt(n) units.

    Four deviations: one sum in a thousand errs by more.
    Source: Higham and Mary 2019, "A new approach to probabilistic rounding error analysis", theorem 2.4.
    """
    return math.expm1(4 * math.sqrt(roundings) * ROUND)


# A training is no sum, but what one rounds differently acts like weights that are slightly different. A relative change
# of e in every weight changes the losses of tests.studies.tiny.TINY by 3 e at most in 20 steps, its gradient norms by
# 20 e of their size (`test_small_changes_stay_small` measures it); its longest sums have 12 x 16 tokens.
LOSS_DRIFT = 3 * gamma_random(192)
"""Nats per token by which equal trainings of TINY, rounded differently, may differ: 1e-5."""
NORM_DRIFT = 20 * gamma_random(192)
"""Likewise of a gradient norm, relative: 7e-5."""


@dataclass(frozen=True)
class CrossEntropyBounds:
    """Largest errors of a mean cross-entropy and of its gradients in float32, elementwise where it has elements."""

    loss: float
    grad_hidden: Tensor
    """float64 (N, C)"""
    grad_weight: Tensor
    """float64 (V, C)"""


def bound_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    apart: bool = False,
    stored: torch.dtype = torch.float32,
) -> CrossEntropyBounds:
    """Bounds for `F.cross_entropy(hidden @ weight.T, targets)`, however its sums are cut and ordered.

    They follow the roundings: logits are sums of C products; exponentials, their sum over V and its logarithm carry
    the logits' errors on; gradients are sums of V, respectively N, products with probabilities.

    Args:
        hidden: float (N, C), as the computation sees it.
        weight: float (V, C), likewise.
        targets: int64 (N,)
        apart: the target is kept apart from the others, as in blocks of the vocabulary: then what is missing to
            certainty has a small relative error. Otherwise 1 is taken from a rounded probability.
        stored: dtype in which logits, their gradients and the hidden states' gradient are kept; sums are float32.
    """
    h, w = hidden.double(), weight.double()
    (tokens, width), vocab_size = h.shape, len(w)
    kept = 0.0 if stored == torch.float32 else HALF_STEP[stored]
    logits = h @ w.t()
    is_target = torch.zeros_like(logits).scatter_(1, targets[:, None], 1.0)
    p = logits.softmax(1)
    others = p * (1 - is_target)
    missing = others.sum(1, keepdim=True)
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")[:, None]

    # Relative, of the exponential of each logit, and of their sum. A maximum that is taken off is rounded twice.
    largest = logits.abs().amax(1, keepdim=True)
    shifted = 0.0 if apart else 2 * ROUND * largest
    d_exp = gamma(width) * (h.abs() @ w.abs().t()) + kept * logits.abs() + shifted + FUNCTION
    d_sum = (p * d_exp).sum(1, keepdim=True) + gamma(vocab_size)
    # loss = log(1 + others / target)
    d_ratio = (is_target * d_exp).sum(1, keepdim=True) + (others * d_exp).sum(1, keepdim=True) / missing
    d_losses = missing * (d_ratio + gamma(vocab_size)) + FUNCTION * losses + shifted
    d_loss = d_losses.sum() + gamma(tokens + 1) * losses.sum()

    d_target = missing * (d_ratio + d_sum) if apart else p * (d_exp + d_sum) + ROUND
    slope = (p - is_target).abs()
    d_slope = torch.where(is_target > 0, d_target, p * (d_exp + d_sum)) + (kept + 4 * ROUND) * slope + SMALLEST
    d_hidden = d_slope @ w.abs() + (gamma(vocab_size + 3) + kept) * (slope @ w.abs())
    d_weight = d_slope.t() @ h.abs() + gamma(tokens + 3) * (slope.t() @ h.abs())
    return CrossEntropyBounds(float(d_loss) / tokens, d_hidden / tokens, d_weight / tokens)
