"""The checks of doctor that concern the machine: Python, torch, device, cores, memory, disk."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["ok", "note", "problem"]

GIB = 2**30
LITTLE_MEMORY = 2 * GIB
"""Bytes that two quick runs at once and their report need, with some reserve."""
LITTLE_DISK = 5 * GIB
"""Bytes for a few runs at lesson scale: a checkpoint with weights and moments has 1.5 GB."""
TOO_LITTLE_DISK = GIB // 2
"""Bytes below which the two checkpoints of a quick run, 90 MB each, may not fit."""


@dataclass(frozen=True)
class Check:
    """The result of one check: what was checked, its state, and what to do."""

    check: str
    status: Status
    detail: str
    advice: str = ""
    """Empty if there is nothing to do."""


def check_python() -> Check:
    return Check("python", "ok", f"{platform.python_version()}, {platform.system()} {platform.machine()}")


def check_torch() -> Check:
    import torch

    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        return Check(
            "torch",
            "note",
            f"{torch.__version__} can't use the NVIDIA GPU of this machine",
            "Install the CUDA build of torch: https://pytorch.org/get-started/locally/",
        )
    return Check("torch", "ok", torch.__version__)


def check_device() -> Check:
    from gptexp.machine import describe_cpu
    from gptexp.training.device import describe_gpu, resolve_device

    device = resolve_device("auto")
    if device == "cpu":
        return Check("device", "ok", f"auto is cpu, because there is no CUDA or Apple GPU: {describe_cpu()}")
    return Check("device", "ok", f"auto is {device}: {describe_gpu()}")


def check_precision() -> Check:
    """What precision=auto means here. On a CPU it depends on the model's widths: those of scale quick are measured."""
    from gptexp.config import build_config
    from gptexp.studies.scales import find_scale
    from gptexp.training.device import resolve_hardware
    from gptexp.training.precision import GAIN, measure_products

    config = build_config({**find_scale("quick").settings, "precision": "auto"})
    hardware = resolve_hardware(config)
    if hardware.device != "cpu":
        return Check("precision", "ok", f"auto is {hardware.precision} on this {hardware.device}")
    times = measure_products(config)
    why = f"{times}, {times.gain:.2f} times as fast; bf16 needs {GAIN:g}"
    return Check("precision", "ok", f"auto is {hardware.precision} at scale quick: {why}")


def check_cores() -> Check:
    from gptexp.machine import count_cores

    cores = count_cores()
    return Check(
        "cores",
        "ok",
        f"{cores} usable; on a CPU a small model uses one thread, so {cores} run at once; a larger one uses as many as "
        f"make its steps faster (see `gptexp plan`)",
    )


def check_memory() -> Check:
    if not hasattr(os, "sysconf"):
        return Check("memory", "ok", "this system doesn't say how much there is")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available = available_memory()
    if (limit := container_limit()) is not None and limit < total:
        total, available = limit, min(limit, available or limit)
    if available is None:
        return Check("memory", "ok", f"{total / GIB:.1f} GiB")
    detail = f"{available / GIB:.1f} of {total / GIB:.1f} GiB available"
    if available < LITTLE_MEMORY:
        return Check("memory", "note", detail, "Close other programs, or run one at a time with --jobs 1.")
    return Check("memory", "ok", detail)


def available_memory() -> int | None:
    """Bytes that programs can allocate without swapping, from Linux's /proc/meminfo; None on other systems."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kib = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines) if rest.split()}
    return int(kib["MemAvailable"]) * 2**10 if "MemAvailable" in kib else None


def container_limit() -> int | None:
    """Memory limit in bytes of the container's control group; None if there is none."""
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() else None


def check_cache() -> Check:
    from gptexp.data.corpus import cache_dir

    folder = cache_dir()
    if reason := why_not_writable(folder):
        return Check("cache", "problem", f"{folder}: {reason}", "Set GPTEXP_CACHE_DIR to a folder that can be written.")
    return Check("cache", "ok", str(folder))


def check_disk(runs_dir: Path) -> Check:
    """Whether the runs folder can be written and has enough free space."""
    folder = runs_dir.resolve()
    if reason := why_not_writable(folder):
        return Check(
            "disk", "problem", f"{folder}: {reason}", "Name another folder with --runs-dir or GPTEXP_RUNS_DIR."
        )
    free = shutil.disk_usage(nearest_existing(folder)).free
    detail = f"{free / GIB:.1f} GiB free for {folder}"
    if free < TOO_LITTLE_DISK:
        return Check("disk", "problem", detail, "Free some space, or name another disk with --runs-dir.")
    if free < LITTLE_DISK:
        return Check("disk", "note", detail, "Enough for scale quick and char; laptop and lesson need 5 GiB.")
    return Check("disk", "ok", detail)


def why_not_writable(folder: Path) -> str | None:
    """Why no file can be written to `folder`; None if one can. A missing folder is not created."""
    existing = nearest_existing(folder)
    if not existing.is_dir():
        return f"{existing} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=existing):
            return None
    except OSError as error:
        return f"{existing} can't be written ({error.strerror})"


def nearest_existing(folder: Path) -> Path:
    """The folder itself, or its nearest parent that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
