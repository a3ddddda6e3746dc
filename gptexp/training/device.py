"""Resolves `auto` on this machine: device, precision, threads. This happens before a run and is recorded."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from gptexp.config import Device, RunConfig
from gptexp.errors import GptexpError
from gptexp.machine import list_gpus
from gptexp.model.size import count_params
from gptexp.training.precision import measure_products

THREAD_FLOPS = 40 * 10**9
"""FLOPs of a forward and backward pass (6 per weight and token) for each of which one more thread pays off."""


@dataclass(frozen=True)
class Hardware:
    """The device and precision that a run computes with."""

    device: str
    """cpu, cuda or mps."""
    precision: str
    """fp32 or bf16."""

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """A context for the forward pass: bf16 matrix products with fp32 weights; in fp32 it does nothing."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)


def resolve_device(device: Device) -> str:
    """The device to use; auto means cuda if available, else mps, else cpu.

    Raises:
        GptexpError: the device is not available.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    resolved = next(name for name in ("cuda", "mps", "cpu") if available[name]) if device == "auto" else device
    if not available[resolved]:
        usable = ", ".join(name for name, is_available in available.items() if is_available)
        raise GptexpError(f"device={device} is not available on this machine; use one of: {usable}, or auto")
    return resolved


def resolve_hardware(config: RunConfig) -> Hardware:
    """The device and precision for a config, with `auto` resolved for this machine.

    precision=auto means bf16 if it is faster. On a CPU this is measured for the config's widths (see
    `gptexp.training.precision`); NVIDIA GPUs have bf16 units from Ampere on; mps doesn't support it.

    Raises:
        GptexpError: the device is not available, or doesn't support the precision.
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
    """The number of CPU threads for `auto`: one per `THREAD_FLOPS` of a step, at least 1 and at most `cores`.

    With several threads every matrix product waits for the slowest one, so small steps gain nothing, and parallel runs
    use the cores better. The number depends on sizes alone, so the same command gives the same runs.

    Args:
        config: with vocab_size and device resolved.
        cores: number of cores that this run may use.
    """
    if config.device != "cpu":
        return 1
    micro_batch = config.batch_size * config.block_size
    return max(1, min(cores, 6 * count_params(config) * micro_batch // THREAD_FLOPS))


def prepare_cpu(threads: int) -> None:
    """Set the number of threads and flush denormal numbers to zero. Must be called before a run computes anything.

    A softmax over widely spread logits produces millions of denormal numbers, each about a hundred times slower to
    compute with than a normal one.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def has_fast_bf16() -> bool:
    """Whether the GPU has units for bf16 matrix products (compute capability 8.0 or higher)."""
    return torch.cuda.get_device_capability()[0] >= 8


def find_gpus() -> list[str]:
    """What CUDA calls the GPUs that this process may use; counted by PyTorch where nobody else names them."""
    return list_gpus() or [str(number) for number in range(torch.cuda.device_count())]


def describe_gpu() -> str | None:
    """The name of the first GPU; None without a GPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return "Apple GPU (MPS)" if torch.backends.mps.is_available() else None


def read_memory_bytes(device: str) -> int | None:
    """Total memory of the device in bytes; None if the system doesn't report it."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    # A container's limit may be lower than the machine's memory.
    with contextlib.suppress(OSError, ValueError):
        return min(whole, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return whole
