"""Loads a trained model from a run folder, which may come from a stranger.

The size of the weights is compared with the config first, so that a forged config can't allocate a huge model.
"""

from __future__ import annotations

from pathlib import Path

from gptexp.config import RunConfig
from gptexp.model.gpt import GPT
from gptexp.model.size import count_params
from gptexp.training.checkpoint import DamagedCheckpoint, load_checkpoint, weights_bytes
from gptexp.training.device import read_memory_bytes

BYTES_EACH = 4
"""Bytes of a parameter in fp32."""
HEADER_BYTES = 2**20
"""Upper bound per layer for the header with names and shapes in a weights file."""


def load_model(config: RunConfig, folder: Path) -> tuple[GPT, int]:
    """The model of `config` with the weights of a checkpoint, on the CPU, and the checkpoint's step.

    Raises:
        DamagedCheckpoint: a file is missing or altered, the weights are those of another model, or they don't fit into
            memory.
    """
    expected, found = BYTES_EACH * count_params(config), weights_bytes(folder)
    if not expected <= found <= expected + HEADER_BYTES * (1 + config.n_layer):
        raise DamagedCheckpoint(
            f"{folder.name}: its weights have {found / 2**20:,.1f} MiB, but the model of its config.json has "
            f"{expected / 2**20:,.1f}"
        )
    if found > (read_memory_bytes("cpu") or found):
        raise DamagedCheckpoint(f"{folder.name}: its weights have {found / 2**30:,.0f} GiB and don't fit into memory")
    try:
        model = GPT(config, seed=config.seed)
        step, _ = load_checkpoint(folder, model)
    except (RuntimeError, MemoryError):
        raise DamagedCheckpoint(f"{folder.name}: there is not enough memory for its model") from None
    return model, step
