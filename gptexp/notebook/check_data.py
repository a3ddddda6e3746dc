"""Checks of what the model reads: the windows of the Dataset, and the batches of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptexp.notebook.answers import NotYet, call_answer, is_close, is_empty, lend_names, name_mistake

BLOCK = 4
N_TOKENS = 14
"""Three windows, and a token that is left over."""
VOCABULARY = 5
N_BATCHES = 3


def check_windows(windows: Callable[[Tensor, int], Any]) -> None:
    """Say whether a Dataset gives every window its input and, shifted by one, its target.

    Args:
        windows: the class: (int64 (N,) tokens, block_size) -> a Dataset of pairs of int64 (block_size,).

    Raises:
        NotYet: what is wrong with its target.
    """
    tokens = torch.arange(10, 10 + N_TOKENS)
    dataset = windows(tokens, BLOCK)
    # The second window: the first has no token before it that a wrong shift could take.
    x, y = call_answer(dataset.__getitem__, 1, known={})
    if is_empty(y):
        raise NotYet("the target is still empty: y is the piece of self.tokens that begins one token after x.")
    if not isinstance(y, Tensor):
        raise NotYet(f"the target is a {type(y).__name__}: cut it out of self.tokens, as x is, so that it is a tensor.")
    if y.numel() == 1:
        raise NotYet(
            "the target is a single token: every position of the window predicts the token after it, not the last "
            "position alone, so y has as many tokens as x."
        )
    if y.shape != x.shape:
        raise NotYet(f"x has {x.numel()} tokens and y {y.numel()}: end the target one token later than x, too.")
    if torch.equal(y, x):
        raise NotYet(
            "there is no shift: x and y are the same tokens, so the model would learn to repeat what it reads. Begin "
            "the target one token later."
        )
    if torch.equal(y, x - 1):
        raise NotYet("the target is shifted the wrong way: y[t] has to be the token after x[t], not the one before.")
    if not torch.equal(y, x + 1):
        raise NotYet(f"for the tokens {x.tolist()} the target has to be {(x + 1).tolist()}, and yours is {y.tolist()}.")
    print("Right: every position has the token after it as its target.")


class CountingModel(nn.Module):
    """A stand-in for the model: fixed logits for every token, and a note of what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(3)))
        self.batches: list[Tensor] = []
        self.with_gradients = self.in_training = False

    def forward(self, idx: Tensor) -> Tensor:
        """int64 (B, T) -> logits float (B, T, V)."""
        self.batches.append(idx)
        self.with_gradients |= torch.is_grad_enabled()
        self.in_training |= self.training
        return self.table[idx]


def check_evaluate(evaluate: Callable[[Any, Any, int], Any]) -> None:
    """Say whether a function gives the mean loss over the first `n_batches` different batches of a loader.

    Args:
        evaluate: (model, loader, n_batches) -> mean loss in nats per token.

    Raises:
        NotYet: what is wrong with it.
    """
    loader = make_batches(N_BATCHES + 2)
    model = CountingModel()
    losses = [F.cross_entropy(model.table[x].flatten(0, 1), y.flatten()).item() for x, y in loader]
    with lend_names(evaluate):
        value = call_answer(evaluate, model, loader, N_BATCHES, known={})
    if not model.batches:
        raise NotYet("the loop is still empty: it has to go over the first n_batches batches of the loader (islice).")
    if len(model.batches) > 1 and all(torch.equal(batch, model.batches[0]) for batch in model.batches):
        raise NotYet(
            "every round reads the same first batch: next(iter(loader)) starts the loader anew each time. Go over the "
            "loader once: for x, y in islice(loader, n_batches)."
        )
    if len(model.batches) > N_BATCHES:
        raise NotYet(
            f"asked for {N_BATCHES} batches the loop reads {len(model.batches)}: islice(loader, n_batches) stops after "
            "n_batches."
        )
    if len(model.batches) < N_BATCHES:
        raise NotYet(f"asked for {N_BATCHES} batches the loop reads only {len(model.batches)}.")
    if model.with_gradients or model.in_training:
        raise NotYet("an evaluation needs no gradients and no dropout: keep @torch.no_grad() and model.eval().")
    right = sum(losses[:N_BATCHES]) / N_BATCHES
    if not is_close(value, right):
        summed = "the losses are summed and not averaged: divide by n_batches."
        raise name_mistake(
            value, {summed: [right * N_BATCHES]}, f"the mean loss is {right:.4f}, and yours is {float(value):.4f}."
        )
    print(f"Right: {N_BATCHES} batches, each another one.")


def make_batches(n: int) -> list[tuple[Tensor, Tensor]]:
    """`n` different pairs of int64 (2, 3), the same each time."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(VOCABULARY, (n, 2, 2, 3), generator=generator)
    return [(x, y) for x, y in drawn]
