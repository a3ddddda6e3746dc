"""What `auto` means on this machine: device, precision, threads. Resolved before a run, and recorded."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from gptexp.config import Device, Precision
from gptexp.errors import GptexpError


@dataclass(frozen=True)
class Hardware:
    """The device and precision that a run computes with."""

    device: str
    """cpu, cuda or mps."""
    precision: str
    """fp32 or bf16."""

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """bf16 matrix products over fp32 weights, or nothing in fp32."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)


def resolve_hardware(device: Device, precision: Precision) -> Hardware:
    """Settle `auto` for this machine.

    device auto: cuda, else mps, else cpu. precision auto: bf16 where matrix units for it exist (CUDA from Ampere on,
    CPUs with AMX), else fp32.

    Raises:
        GptexpError: the device isn't there, or it can't compute in the precision.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    resolved = next(name for name in ("cuda", "mps", "cpu") if available[name]) if device == "auto" else device
    if not available[resolved]:
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise GptexpError(f"device={device} is not available on this machine; use one of: {there}, or auto")
    if precision == "auto":
        return Hardware(resolved, "bf16" if has_fast_bf16(resolved) else "fp32")
    if precision == "bf16" and resolved == "mps":
        raise GptexpError("precision=bf16 is not supported on device=mps; use precision=fp32 or precision=auto")
    return Hardware(resolved, precision)


def prepare_cpu(threads: int) -> None:
    """Set how this process computes on the CPU, before a run's first number.

    Denormal numbers become zero: a softmax over widely spread logits makes millions of them, each a hundred times
    slower than a normal one.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def has_fast_bf16(device: str) -> bool:
    """Whether matrix products in bf16 run on units made for them."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    return device == "cpu" and torch.cpu._is_amx_tile_supported()


def describe_gpu() -> str | None:
    """The first GPU's name, or None."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return "Apple GPU (MPS)" if torch.backends.mps.is_available() else None


def read_memory_bytes(device: str) -> int | None:
    """Bytes of memory that the device has, used or not; None where this system doesn't say."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    # A container may have less than its machine.
    with contextlib.suppress(OSError, ValueError):
        return min(whole, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return whole
