"""Checkpoints come back whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gptexp.config import RunConfig
from gptexp.model.gpt import GPT
from gptexp.training.checkpoint import (
    DamagedCheckpoint,
    keep_checkpoints,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from gptexp.training.optimizer import build_optimizer

CONFIG = RunConfig(vocab_size=64, n_layer=1, n_head=2, n_embd=16, block_size=8)


def trained(seed: int, steps: int) -> tuple[GPT, torch.optim.Optimizer]:
    model = GPT(CONFIG, seed=seed)
    optimizer = build_optimizer(model, CONFIG)
    idx = torch.arange(8)[None]
    for _ in range(steps):
        model.loss(idx, idx).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def test_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """Saved after 3 steps and loaded into a fresh model, the next steps give the same bits as undisturbed training."""
    model, optimizer = trained(0, 3)
    path = save_checkpoint(tmp_path, 3, model, optimizer, {"records_bytes": 7})
    fresh, fresh_optimizer = trained(1, 0)
    assert load_checkpoint(path, fresh, fresh_optimizer) == (3, {"records_bytes": 7})
    idx = torch.arange(8)[None]
    for _ in range(2):
        for m, o in ((model, optimizer), (fresh, fresh_optimizer)):
            m.loss(idx, idx).backward()
            o.step()
            o.zero_grad()
    for a, b in zip(model.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_damage_is_noticed(tmp_path: Path, file: str, damage: str) -> None:
    """A truncated, altered or missing file makes a DamagedCheckpoint, never wrong weights."""
    model, optimizer = trained(0, 1)
    path = save_checkpoint(tmp_path, 1, model, optimizer, {})
    content = (path / file).read_bytes()
    if damage == "missing":
        (path / file).unlink()
    elif damage == "truncated":
        (path / file).write_bytes(content[:-5])
    else:
        middle = len(content) // 2
        (path / file).write_bytes(content[:middle] + b"?" + content[middle + 1 :])
    with pytest.raises(DamagedCheckpoint):
        load_checkpoint(path, model, optimizer)


def test_no_pickle(tmp_path: Path) -> None:
    """A checkpoint is safetensors and JSON, so one from a stranger can't run code."""
    path = save_checkpoint(tmp_path, 1, *trained(0, 1), {})
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}


def test_old_checkpoints_go(tmp_path: Path) -> None:
    """The newest ones and the named steps stay; no temporary folder is left."""
    model, optimizer = trained(0, 1)
    for step in range(1, 6):
        save_checkpoint(tmp_path, step, model, optimizer, {})
        keep_checkpoints(tmp_path, newest=2, steps={2})
    assert [int(path.name[5:]) for path in list_checkpoints(tmp_path)] == [5, 4, 2]
    assert len(list(tmp_path.iterdir())) == 3
