"""Checkpoints: tensors in safetensors, the rest in JSON, written beside and renamed into place.

No pickle is ever read, so a checkpoint from a stranger can't run anything.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gptexp.files import (
    check_sha256,
    disk_errors,
    exists,
    explain,
    list_folder,
    make_folder,
    open_file,
    open_path,
    read_bytes,
    remove_file,
    remove_tree,
    rename,
    size_of,
    sync_folder,
    usual_mode,
    write_atomic,
    write_new,
)

MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
CHECKPOINT = re.compile(r"step-[0-9]{1,18}")


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
        remove_tree(temporary, folder.parent)
        make_folder(temporary, folder.parent)
        try:
            checksums = {MODEL: _save_tensors(temporary / MODEL, dict(model.state_dict()))}
            if optimizer is not None:
                checksums[OPTIMIZER] = _save_tensors(temporary / OPTIMIZER, _optimizer_tensors(model, optimizer))
            content = json.dumps({"step": step, "checksums": checksums, "state": state})
            write_new(temporary / STATE, content, folder.parent)
            sync_folder(temporary)
            remove_tree(target, folder.parent)
            rename(temporary, target, folder.parent)
            sync_folder(folder)
        except BaseException:
            with contextlib.suppress(OSError):
                remove_tree(temporary, folder.parent)
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
        content = _read_state(path)
        step, checksums, state = int(content["step"]), content["checksums"], content["state"]
        weights = _load_tensors(path / MODEL, checksums[MODEL])
        moments = _load_tensors(path / OPTIMIZER, checksums[OPTIMIZER]) if optimizer is not None else {}
        model.load_state_dict(weights)
        if optimizer is not None:
            _fill_optimizer(model, optimizer, moments)
    except OSError as error:
        raise DamagedCheckpoint(f"{path.name}: {_name_error(error)}") from None
    except (ValueError, KeyError, TypeError, RecursionError, RuntimeError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{path.name}: {error}") from None
    return step, state


def check_checkpoint(path: Path) -> str | None:
    """Why a checkpoint is unfit, or None when all its files match their checksums."""
    try:
        for name, expected in _read_state(path)["checksums"].items():
            check_sha256(path / name, expected, _within(path))
    except OSError as error:
        return _name_error(error)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return str(error)
    return None


def list_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, newest first. Links are none, and neither is what lies behind a linked `folder`."""
    try:
        entries = list_folder(folder, folder.parent)
    except OSError:
        return []
    names = [entry.name for entry in entries if entry.kind == "folder" and CHECKPOINT.fullmatch(entry.name)]
    return [folder / name for name in sorted(names, key=lambda name: (int(name[5:]), name), reverse=True)]


def keep_checkpoints(folder: Path, *, newest: int, steps: set[int]) -> None:
    """Remove all checkpoints but the `newest` ones and those of `steps`, which keep their weights alone.

    Raises:
        DiskError: the disk refused.
    """
    for path in list_checkpoints(folder)[newest:]:
        if int(path.name.removeprefix("step-")) not in steps:
            with disk_errors(path):
                remove_tree(path, folder.parent)
        elif exists(path / OPTIMIZER, folder.parent):
            drop_optimizer(path)


def drop_optimizer(path: Path) -> int:
    """Leave a checkpoint's weights alone: enough to sample from, not to resume. Returns the bytes that it freed.

    Raises:
        DiskError: the disk refused; ValueError, KeyError: the checkpoint is damaged.
    """
    with disk_errors(path):
        content, size = _read_state(path), size_of(path / OPTIMIZER, _within(path))
        content["checksums"].pop(OPTIMIZER, None)
        # The state goes first: a checkpoint that names a file that is gone would be a damaged one.
        write_atomic(path / STATE, json.dumps(content), _within(path))
        remove_file(path / OPTIMIZER, _within(path))
    return size


def weights_bytes(path: Path) -> int:
    """Bytes of a checkpoint's weights on the disk.

    Raises:
        DamagedCheckpoint: they are not there.
    """
    try:
        return size_of(path / MODEL, _within(path))
    except OSError as error:
        raise DamagedCheckpoint(f"{path.name}: {_name_error(error)}") from None


def _within(path: Path) -> Path:
    """The run folder of a checkpoint: neither the checkpoint nor the folder of all may be a link."""
    return path.parent.parent


def _read_state(path: Path) -> dict[str, Any]:
    """Raises:
    OSError, ValueError: it can't be read, or is no object.
    """
    content = json.loads(read_bytes(path / STATE, _within(path)))
    if not isinstance(content, dict):
        raise ValueError(f"{STATE} is no object")
    return content


def _name_error(error: OSError) -> str:
    name = Path(str(error.filename)).name if error.filename else STATE
    return f"{name}: {explain(error)}"


def _save_tensors(path: Path, tensors: dict[str, Tensor]) -> str:
    """Write and sync; returns the file's SHA-256."""
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        # safetensors has no error of its own for a full disk: the system's number stands in the text.
        code = re.search(r"os error (\d+)", str(error))
        raise OSError(int(code[1]) if code else errno.EIO, str(error)) from None
    with os.fdopen(open_file(path, flags=os.O_RDWR), "rb") as file:
        # safetensors keeps its files to their owner.
        os.fchmod(file.fileno(), usual_mode(path.parent))
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_tensors(path: Path, checksum: str) -> dict[str, Tensor]:
    with open_path(path, _within(path.parent), sha256=checksum) as opened:
        return load_file(opened)


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
