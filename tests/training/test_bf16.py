"""Training in bf16 learns what training in fp32 learns."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest
import torch

from gptexp.bench.contestant import take_steps
from gptexp.config import build_config
from gptexp.model import loss as loss_module
from gptexp.studies.execute import build_training
from gptexp.studies.resolve import read_tokens, resolve_run
from gptexp.training.device import Hardware, prepare_cpu
from gptexp.training.loop import Training
from tests.studies.tiny import TINY

STEPS = 200


def make_training(corpus: Path, precision: str, seed: int) -> Training:
    changes = {"max_steps": STEPS, "precision": precision, "seed": seed, "device": "cpu", "block_size": 32}
    config = resolve_run(build_config({**TINY, **changes}), str(corpus)).config
    # One thread: steps so small take a hundred times as long on two that another process keeps apart.
    prepare_cpu(config.n_threads)
    return build_training(config, Hardware("cpu", precision), read_tokens(str(corpus), config.tokenizer))


def test_losses_of_200_steps_lie_within_the_spread_of_two_seeds(
    tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Initial losses are within 0.01 nats; the mean losses of every 20 steps of one seed are nearer to each other than
    the losses of two seeds are on average. Weights and moments stay fp32.
    """
    # The vocabulary of characters is small: also its loss goes through blocks.
    monkeypatch.setattr(loss_module, "BLOCK_COLUMNS", dict.fromkeys(loss_module.BLOCK_COLUMNS, 16))
    losses = {}
    for name, precision, seed in (("fp32", "fp32", 1), ("bf16", "bf16", 1), ("other", "fp32", 2)):
        training = make_training(tiny_corpus, precision, seed)
        _, losses[name] = take_steps(training, 1, STEPS)
        state = [value for moments in training.optimizer.state.values() for value in moments.values()]
        assert {tensor.dtype for tensor in (*training.model.parameters(), *state)} == {torch.float32}
    assert abs(losses["bf16"][0] - losses["fp32"][0]) < 0.01
    spread = fmean(abs(a - b) for a, b in zip(losses["fp32"], losses["other"], strict=True))
    for start in range(0, STEPS, 20):
        part = slice(start, start + 20)
        assert abs(fmean(losses["bf16"][part]) - fmean(losses["fp32"][part])) < spread
    assert losses["bf16"] != losses["fp32"]
