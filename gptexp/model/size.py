"""Number of parameters of a model, without building it."""

from __future__ import annotations

from gptexp.config import ModelConfig


def count_params(config: ModelConfig) -> int:
    """Number of trained parameters; the tied embedding counts once.

    Raises:
        ValueError: `config.vocab_size` is None.
    """
    if config.vocab_size is None:
        raise ValueError("vocab_size is None: resolve the config with its tokenizer first")
    width = config.n_embd
    # Attention: width -> 3 width, width -> width. Feed-forward: width -> 4 width -> width. Two layer norms.
    weights, biases = (4 + 8) * width * width + 2 * width, (4 + 5 + 2) * width
    block = weights + (biases if config.bias else 0)
    norm = (width * (2 if config.bias else 1)) if config.norm == "pre" else 0
    return (config.vocab_size + config.block_size) * width + config.n_layer * block + norm
