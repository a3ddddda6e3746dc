"""The loss of a classifier of handwritten digits, step by step, to hold a language model's noise against.

The curves of `SEEDS` are stored beside this file, so that the claims that use them don't need scikit-learn. To make
them again, in seconds: `python -m gptexp.lesson.digits > gptexp/lesson/digits_losses.txt`.
"""

from __future__ import annotations

from pathlib import Path

SEEDS = (1337, 1338, 1339)
BATCH, EPOCHS = 64, 10
FILE = Path(__file__).with_name("digits_losses.txt")
"""A line per step, a column per seed; nats per image."""


def train_on_digits(seed: int) -> list[float]:
    """Train two layers with the classifier's loop and Adam's default rate; the loss of every step, nats per image."""
    import torch
    from torch import nn

    from gptexp.lesson.mnist_loop import load_digits, train_classifier

    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return train_classifier(model, load_digits(BATCH, seed=seed), torch.optim.Adam(model.parameters()), EPOCHS)


def read_digits_losses() -> list[list[float]]:
    """The stored curves, one per seed."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return [list(curve) for curve in zip(*([float(loss) for loss in line.split()] for line in lines), strict=True)]


if __name__ == "__main__":
    for losses in zip(*map(train_on_digits, SEEDS), strict=True):
        print(*(f"{loss:.4f}" for loss in losses))
