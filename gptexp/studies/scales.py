"""Scales: sizes at which every study can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gptexp.errors import GptexpError, did_you_mean


@dataclass(frozen=True)
class Scale:
    """Config fields that set the size of a study's model, data and training."""

    name: str
    description: str
    settings: Mapping[str, Any]


_TINY_GPT = {"n_layer": 4, "n_head": 4, "n_embd": 128}

SCALES: dict[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale(
            "quick",
            "GPT-2 vocabulary, 4 layers x 128 wide, 200 steps: minutes on a CPU",
            {
                **_TINY_GPT,
                "block_size": 128,
                "batch_size": 4,
                "max_steps": 200,
                "eval_interval": 50,
                "eval_steps": 2,
                "sample_interval": 100,
                "sample_tokens": 60,
                "checkpoint_interval": 50,
            },
        ),
        Scale(
            "char",
            "characters, 4 layers x 128 wide, 2,000 steps: real words on a CPU (nanoGPT's CPU setting)",
            {
                # Source: nanoGPT README, "I only have a macbook", and config/train_shakespeare_char.py.
                **_TINY_GPT,
                "tokenizer": "char",
                "block_size": 64,
                "batch_size": 12,
                "max_steps": 2000,
                "lr": 1e-3,
                "beta2": 0.99,
                "eval_interval": 250,
                "eval_steps": 15,
                "sample_interval": 500,
                "sample_tokens": 300,
                "checkpoint_interval": 250,
            },
        ),
        Scale(
            "laptop",
            "GPT-2 vocabulary, 6 layers x 384 wide, 2,000 steps: hours on a CPU",
            {
                "n_layer": 6,
                "n_head": 6,
                "n_embd": 384,
                "block_size": 256,
                "batch_size": 8,
                "sampler": "epochs",
                "max_steps": 2000,
                "eval_interval": 100,
                "eval_steps": 2,
                "sample_interval": 500,
                "checkpoint_interval": 100,
            },
        ),
        Scale(
            "lesson",
            "GPT-2 124M at 256 tokens of context, 10,000 steps: one GPU",
            {
                "n_layer": 12,
                "n_head": 12,
                "n_embd": 768,
                "block_size": 256,
                "batch_size": 16,
                "sampler": "epochs",
                "max_steps": 10_000,
                "eval_interval": 500,
                "eval_steps": 8,
                "sample_interval": 2500,
                "sample_tokens": 200,
                "checkpoint_interval": 1000,
            },
        ),
    )
}


def find_scale(name: str) -> Scale:
    """The scale called `name`.

    Raises:
        GptexpError: there is none; the message lists the known ones.
    """
    if name not in SCALES:
        raise GptexpError(f"there is no scale {name!r}{did_you_mean(name, SCALES)}")
    return SCALES[name]
