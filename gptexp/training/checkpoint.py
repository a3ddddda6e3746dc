"""Checkpoints: tensors in safetensors, the rest in JSON, written beside and renamed into place.

No pickle is ever read, so a checkpoint from a stranger can't run anything.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gptexp.files import disk_errors, sync_folder, write_atomic

MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"


class DamagedCheckpoint(Exception):
    """A checkpoint that can't be read, or doesn't match its checksums."""


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer | None, state: dict[str, Any]
) -> Path:
    """Write `folder/step-00000100/`; a checkpoint of the same step is replaced.

    Args:
        optimizer: None keeps the weights alone (enough to sample from, not to resume).
        state: what else decides the future, as JSON.

    Raises:
        DiskError: it could not be written; earlier checkpoints are as they were.
    """
    target = folder / f"step-{step:08d}"
    temporary = folder / f".step-{step:08d}.{os.getpid()}"
    with disk_errors(folder):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            checksums = {MODEL: _save_tensors(temporary / MODEL, dict(model.state_dict()))}
            if optimizer is not None:
                checksums[OPTIMIZER] = _save_tensors(temporary / OPTIMIZER, _optimizer_tensors(model, optimizer))
            content = json.dumps({"step": step, "checksums": checksums, "state": state})
            with (temporary / STATE).open("w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(temporary)
            if target.exists():
                shutil.rmtree(target)
            temporary.rename(target)
            sync_folder(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return target


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> tuple[int, dict[str, Any]]:
    """Put a checkpoint's tensors into `model` (and `optimizer`).

    Returns:
        The step, and the state that was saved with it.

    Raises:
        DamagedCheckpoint: a file is missing, altered or doesn't fit the model.
    """
    try:
        content = json.loads((path / STATE).read_text(encoding="utf-8"))
        step, checksums, state = int(content["step"]), content["checksums"], content["state"]
        weights = _load_tensors(path / MODEL, checksums[MODEL])
        moments = _load_tensors(path / OPTIMIZER, checksums[OPTIMIZER]) if optimizer is not None else {}
        model.load_state_dict(weights)
        if optimizer is not None:
            _fill_optimizer(model, optimizer, moments)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{path.name}: {error}") from None
    return step, state


def check_checkpoint(path: Path) -> str | None:
    """Why a checkpoint is unfit, or None when all its files match their checksums."""
    try:
        checksums = json.loads((path / STATE).read_text(encoding="utf-8"))["checksums"]
        for name, expected in checksums.items():
            _verify_checksum(path / name, expected)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return str(error)
    return None


def list_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, newest first."""
    return sorted((path for path in folder.glob("step-*") if path.is_dir()), reverse=True)


def keep_checkpoints(folder: Path, *, newest: int, steps: set[int]) -> None:
    """Remove all checkpoints but the `newest` ones and those of `steps`, which keep their weights alone.

    Raises:
        DiskError: the disk refused.
    """
    for path in list_checkpoints(folder)[newest:]:
        if int(path.name.removeprefix("step-")) not in steps:
            shutil.rmtree(path, ignore_errors=True)
        elif (path / OPTIMIZER).exists():
            drop_optimizer(path)


def drop_optimizer(path: Path) -> int:
    """Leave a checkpoint's weights alone: enough to sample from, not to resume. Returns the bytes that it freed.

    Raises:
        DiskError: the disk refused; ValueError, KeyError: the checkpoint is damaged.
    """
    content = json.loads((path / STATE).read_text(encoding="utf-8"))
    content["checksums"].pop(OPTIMIZER, None)
    size = (path / OPTIMIZER).stat().st_size
    # The state goes first: a checkpoint that names a file that is gone would be a damaged one.
    write_atomic(path / STATE, json.dumps(content))
    (path / OPTIMIZER).unlink()
    return size


def _save_tensors(path: Path, tensors: dict[str, Tensor]) -> str:
    """Write and sync; returns the file's SHA-256."""
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        # safetensors has no error of its own for a full disk: the system's number stands in the text.
        code = re.search(r"os error (\d+)", str(error))
        raise OSError(int(code[1]) if code else errno.EIO, str(error)) from None
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_tensors(path: Path, checksum: str) -> dict[str, Tensor]:
    _verify_checksum(path, checksum)
    return load_file(path)


def _verify_checksum(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(f"{path.name} has SHA-256 {found[:12]}, expected {str(expected)[:12]}")


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's moments and step counts under the names of the parameters."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _fill_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        found = {key.rpartition("/")[2]: value for key, value in moments.items() if key.rpartition("/")[0] == name}
        if not found:
            continue
        optimizer.state[parameter] = {
            # A step count stays where it was made; moments live beside their parameter.
            key: value if key == "step" and parameter.device.type == "cpu" else value.to(parameter.device)
            for key, value in found.items()
        }
