"""Evaluations: the same windows for every arm, and a loss that doesn't depend on how many are taken at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptexp.config import build_config
from gptexp.data.batches import val_windows
from gptexp.studies.execute import build_training
from gptexp.studies.resolve import read_tokens, resolve_run
from gptexp.studies.scales import SCALES
from gptexp.studies.study import load_study
from gptexp.training.device import Hardware
from gptexp.training.evaluate import evaluate
from tests.studies.tiny import TINY, run_tiny
from tests.tolerance import LOSS_DRIFT, gamma_random

TOKENS_OF_LOSS = 4.2
"""Nats per token of an untrained model of the test's 65 characters, rounded up."""


def test_arms_of_other_batches_are_measured_on_the_same_windows(tmp_path: Path, tiny_corpus: Path) -> None:
    """The same weights have the same val loss to the bit, whatever the batch that they are trained on."""
    found = []
    for changes in ({"batch_size": 1}, {"batch_size": 16}, {"batch_size": 2, "grad_accum_steps": 3}):
        _, records = run_tiny(tmp_path, tiny_corpus, max_steps=0, eval_steps=1, **changes)
        found.append([(one["val_loss"], one["val_bpb"], one["val_tokens"]) for one in records if one["kind"] == "eval"])
    assert found[0] == found[1] == found[2]
    windows = 16
    assert found[0][0][2] == windows * TINY["block_size"]


@pytest.mark.parametrize("scale", SCALES)
def test_all_arms_of_batch_noise_evaluate_as_many_windows(scale: str) -> None:
    """Their lowest val losses are over the same text, at every scale."""
    study = load_study("batch-noise")
    counts = {study.config(arm, SCALES[scale], 1, {}).eval_windows for arm in study.arms}
    assert len(counts) == 1


@pytest.mark.parametrize("limit", [None, 20])
def test_the_loss_does_not_depend_on_the_windows_taken_at_once(tiny_corpus: Path, limit: int | None) -> None:
    """In batches of 1, 5 or all: the same tokens, and the same loss but for the order of its sums."""
    config = resolve_run(build_config({**TINY, "precision": "fp32"}), str(tiny_corpus)).config
    tokens, hardware = read_tokens(str(tiny_corpus), "char"), Hardware("cpu", "fp32")
    model = build_training(config, hardware, tokens).model
    found = [
        evaluate(
            model,
            val_windows(tokens.val, block_size=config.block_size, limit=limit, batch_size=size),
            tokens.tokenizer.token_bytes,
            hardware,
        )
        for size in (1, 5, None)
    ]
    assert len({one.tokens for one in found}) == 1
    # A mean of n losses errs by gamma(n) of their size, and each loss as one of two equal trainings does.
    tolerance = TOKENS_OF_LOSS * gamma_random(found[0].tokens) + LOSS_DRIFT
    for one in found:
        assert one.loss == pytest.approx(found[0].loss, abs=tolerance, rel=0)
        assert one.bits_per_byte == pytest.approx(found[0].bits_per_byte, abs=2 * tolerance, rel=0)
