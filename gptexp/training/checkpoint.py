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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gptexp.checksums import seal, unseal
from gptexp.files import (
    check_sha256,
    disk_errors,
    exists,
    explain,
    list_folder,
    make_folder,
    open_file,
    open_path,
    put_in_place,
    read_bytes,
    remove_at_once,
    remove_file,
    remove_tree,
    set_mode,
    size_of,
    usual_mode,
    write_atomic,
    write_new,
)

MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
LARGEST_HEADER = 100_000_000
"""Bytes of the beginning of a tensor file, which names its tensors. Source: safetensors' own limit."""
STEP_FOLDER = re.compile(r"step-([0-9]{1,18})")


class DamagedCheckpoint(Exception):
    """A checkpoint that can't be read, or doesn't match its checksums."""


@dataclass(frozen=True)
class CheckpointState:
    """What a checkpoint says of itself."""

    step: int
    checksums: dict[str, str]
    """SHA-256 (hex) of each file of tensors, by its name."""
    state: dict[str, Any]
    """What else decides the future, as it was saved."""

    @property
    def is_resumable(self) -> bool:
        """Whether the optimizer's state is there too; weights alone are enough to sample from."""
        return OPTIMIZER in self.checksums


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
                checksums[OPTIMIZER] = _save_tensors(temporary / OPTIMIZER, optimizer_tensors(model, optimizer))
            content = json.dumps(seal({"step": step, "checksums": checksums, "state": state}))
            write_new(temporary / STATE, content, folder.parent)
            put_in_place(temporary, target, folder.parent)
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
    found = read_state(path)
    try:
        if optimizer is not None and not found.is_resumable:
            raise ValueError("it holds weights alone, nothing to go on with")
        weights = _load_tensors(path / MODEL, found.checksums[MODEL])
        moments = _load_tensors(path / OPTIMIZER, found.checksums[OPTIMIZER]) if optimizer is not None else {}
        model.load_state_dict(weights)
        if optimizer is not None:
            fill_optimizer(model, optimizer, moments)
    except OSError as error:
        raise DamagedCheckpoint(f"{path.name}: {_name_error(error)}") from None
    except (ValueError, KeyError, TypeError, RecursionError, RuntimeError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{path.name}: {error}") from None
    return found.step, found.state


def read_state(path: Path, step: int | None = None) -> CheckpointState:
    """What a checkpoint says of itself; its tensors are left unread.

    Args:
        step: that it must be of; None takes the folder's name.

    Raises:
        DamagedCheckpoint: state.json is missing, altered, or of another step than the folder's name.
    """
    try:
        content = json.loads(read_bytes(path / STATE, _within(path)))
        return _check_state(content, step_of(path) if step is None else step)
    except OSError as error:
        raise DamagedCheckpoint(f"{path.name}: {_name_error(error)}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedCheckpoint(f"{path.name}: {STATE} is damaged ({error})") from None


def _check_state(content: object, step: int) -> CheckpointState:
    """Raises:
    ValueError: in which way it isn't what was saved.
    """
    fields = unseal(content) if isinstance(content, dict) else {}
    if fields.keys() != {"step", "checksums", "state"}:
        raise ValueError("it has not the fields of one")
    checksums, state = fields["checksums"], fields["state"]
    if not isinstance(checksums, dict) or not {MODEL} <= checksums.keys() <= {MODEL, OPTIMIZER}:
        raise ValueError("it names other files")
    if not all(isinstance(checksum, str) for checksum in checksums.values()) or not isinstance(state, dict):
        raise ValueError("it holds no checksums")
    if type(fields["step"]) is not int or fields["step"] != step:
        raise ValueError(f"it is of step {str(fields['step'])[:20]}")
    return CheckpointState(step, checksums, state)


def check_checkpoint(path: Path, step: int | None = None) -> str | None:
    """Why a checkpoint is unfit, or None when all its files match their checksums; `step` as for `read_state`."""
    try:
        for name, expected in read_state(path, step).checksums.items():
            _check_length(path / name)
            check_sha256(path / name, expected, _within(path))
    except DamagedCheckpoint as error:
        return str(error).removeprefix(f"{path.name}: ")
    except OSError as error:
        return _name_error(error)
    except ValueError as error:
        return str(error)
    return None


def step_of(path: Path) -> int:
    """The step that a checkpoint's folder is named by.

    Raises:
        ValueError: it isn't.
    """
    match = STEP_FOLDER.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is not named like a checkpoint")
    return int(match[1])


def list_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, newest first. Links are none, and neither is what lies behind a linked `folder`."""
    try:
        entries = list_folder(folder, folder.parent)
    except OSError:
        return []
    paths = [folder / entry.name for entry in entries if entry.kind == "folder" and STEP_FOLDER.fullmatch(entry.name)]
    return sorted(paths, key=step_of, reverse=True)


def keep_checkpoints(folder: Path, *, newest: int, steps: set[int]) -> None:
    """Remove all checkpoints but the `newest` ones and those of `steps`, which keep their weights alone.

    Raises:
        DiskError: the disk refused.
    """
    for path in list_checkpoints(folder)[newest:]:
        if step_of(path) not in steps:
            with disk_errors(path):
                remove_at_once(path, folder.parent)
        elif exists(path / OPTIMIZER, folder.parent):
            drop_optimizer(path)


def drop_optimizer(path: Path) -> int:
    """Leave a checkpoint's weights alone: enough to sample from, not to resume. Returns the bytes that it freed.

    Raises:
        DiskError: the disk refused.
        DamagedCheckpoint: it has no readable state, which is left as it is.
    """
    found = read_state(path)
    with disk_errors(path):
        size = size_of(path / OPTIMIZER, _within(path))
        if found.is_resumable:
            # The state goes first: a checkpoint that names a file that is gone would be a damaged one.
            checksums = {name: checksum for name, checksum in found.checksums.items() if name != OPTIMIZER}
            content = seal({"step": found.step, "checksums": checksums, "state": found.state})
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


def _check_length(path: Path) -> None:
    """A tensor file says itself how long it is: one that became much longer must not be read to its end.

    Raises:
        ValueError: it is longer or shorter, or says nothing readable; OSError: it can't be read.

    Source: https://huggingface.co/docs/safetensors/index#format
    """
    with os.fdopen(open_file(path, _within(path.parent)), "rb") as file:
        n_bytes = os.fstat(file.fileno()).st_size
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes)) if 0 < header_bytes <= LARGEST_HEADER else {}
    try:
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        expected = 8 + header_bytes + max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise ValueError(f"{path.name} is damaged: its beginning says not what is in it") from None
    if n_bytes != expected:
        raise ValueError(f"{path.name} has {n_bytes:,} bytes, and its header says {expected:,}")


def _within(path: Path) -> Path:
    """The run folder of a checkpoint: neither the checkpoint nor the folder of all may be a link."""
    return path.parent.parent


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
        set_mode(file.fileno(), usual_mode(path.parent))
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_tensors(path: Path, checksum: str) -> dict[str, Tensor]:
    _check_length(path)
    with open_path(path, _within(path.parent), sha256=checksum) as opened:
        return load_file(opened)


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All that the optimizer remembers (AdamW: moments and step counts) under the names of the parameters."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def fill_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    """Put what `optimizer_tensors` gave into an optimizer of a model of the same names."""
    for name, parameter in model.named_parameters():
        found = {key.rpartition("/")[2]: value for key, value in moments.items() if key.rpartition("/")[0] == name}
        if not found:
            continue
        optimizer.state[parameter] = {
            # A step count stays where it was made; moments live beside their parameter.
            key: value if key == "step" and parameter.device.type == "cpu" else value.to(parameter.device)
            for key, value in found.items()
        }
