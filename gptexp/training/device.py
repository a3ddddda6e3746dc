"""What `auto` means on this machine: device, precision, threads. Resolved before a run, and recorded."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from gptexp.config import Device, RunConfig
from gptexp.errors import GptexpError
from gptexp.model.size import count_params
from gptexp.training.precision import measure_products

THREAD_FLOPS = 40 * 10**9
"""Operations of a forward and backward pass (6 per weight and token) from which one more thread pays."""


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


def resolve_device(device: Device) -> str:
    """The device that is meant: auto is cuda, else mps, else cpu.

    Raises:
        GptexpError: it isn't there.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    resolved = next(name for name in ("cuda", "mps", "cpu") if available[name]) if device == "auto" else device
    if not available[resolved]:
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise GptexpError(f"device={device} is not available on this machine; use one of: {there}, or auto")
    return resolved


def resolve_hardware(config: RunConfig) -> Hardware:
    """Settle `auto` for this machine.

    precision auto: bf16 where it is faster. On a CPU that is measured for the config's widths (see
    `gptexp.training.precision`); of GPUs those from Ampere on have units for it; on mps it isn't supported.

    Raises:
        GptexpError: the device isn't there, or it can't compute in the precision.
    """
    device, precision = resolve_device(config.device), config.precision
    if precision == "bf16" and device == "mps":
        raise GptexpError("precision=bf16 is not supported on device=mps; use precision=fp32 or precision=auto")
    if precision != "auto":
        return Hardware(device, precision)
    if device == "cpu":
        return Hardware(device, measure_products(config).precision)
    return Hardware(device, "bf16" if device == "cuda" and has_fast_bf16() else "fp32")


def choose_threads(config: RunConfig, cores: int) -> int:
    """CPU threads that `auto` stands for: one for each `THREAD_FLOPS` of a step, and no more than `cores`.

    Each product of several threads ends in waiting for the last of them, so small steps gain nothing, and runs side by
    side use the cores better. It depends on sizes alone: the same command gives the same runs.

    Args:
        config: with its vocab_size and its device.
        cores: that this run may have.
    """
    if config.device != "cpu":
        return 1
    micro_batch = config.batch_size * config.block_size
    return max(1, min(cores, 6 * count_params(config) * micro_batch // THREAD_FLOPS))


def prepare_cpu(threads: int) -> None:
    """Set how this process computes on the CPU, before a run's first number.

    Denormal numbers become zero: a softmax over widely spread logits makes millions of them, each a hundred times
    slower than a normal one.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def has_fast_bf16() -> bool:
    """Whether the GPU has units for products in bf16."""
    return torch.cuda.get_device_capability()[0] >= 8


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
