"""This machine's processor, its usable cores, and its GPUs."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that says which GPUs a process sees.

Source: https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables
"""


def describe_cpu() -> str:
    """The processor's model name."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def count_cores() -> int:
    """Cores that this process may use: limited by its CPU affinity and its container's control group."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _read_quota() or cores)


def _read_quota() -> int | None:
    """Whole cores that the control group's quota allows (cpu.max: quota and period in microseconds); None if none."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def read_waiting_s() -> float | None:
    """Seconds in which threads of this process were ready and had no core, all together; None where nobody counts them.

    Source: the second number of `/proc/PID/task/TID/schedstat`, in nanoseconds (Linux, sched-stats.rst).
    """
    waited, tasks = 0, list(Path("/proc/self/task").glob("*/schedstat"))
    for task in tasks:
        with contextlib.suppress(OSError, ValueError, IndexError):
            waited += int(task.read_text().split()[1])
    return waited / 1e9 if tasks else None


def list_gpus() -> list[str]:
    """What CUDA calls the GPUs that this process may use; empty without any."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        words = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        told = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
        return told.split()
    return []


def divide_gpus(gpus: Sequence[str], each: float) -> list[str]:
    """`VISIBLE` of workers that take `each` GPUs, or that share of one: as many as there is room for, at least one.

    The first workers get different GPUs; `divide_gpus(["0", "1"], 0.5)` gives 0, 1, 0, 1.
    """
    if not gpus:
        return []
    if each < 1:
        return [*gpus] * max(1, int(1 / each + 1e-9))
    size = round(each)
    return [",".join(gpus[first : first + size]) for first in range(0, max(1, len(gpus) - size + 1), size)]
