"""The classifier's training loop, which the student knows already. It trains on scikit-learn's handwritten digits."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def train_classifier(
    model: nn.Module,
    train_loader: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    n_epochs: int,
) -> list[float]:
    """Train on float (B, pixels) images with int64 (B,) labels; returns the loss of every step."""
    losses = []
    model.train()
    for epoch in range(n_epochs):  # noqa: B007
        for images, labels in train_loader:
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())  # not shown
    return losses


def load_digits(batch_size: int, *, seed: int) -> DataLoader[tuple[Tensor, ...]]:
    """1,797 handwritten digits, 8 x 8 pixels in [0, 1], shuffled each epoch. Needs scikit-learn.

    Source: UCI, Optical Recognition of Handwritten Digits, as shipped with scikit-learn.
    """
    from sklearn import datasets

    digits = datasets.load_digits()
    images = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    order = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(images, labels), batch_size=batch_size, shuffle=True, generator=order)
