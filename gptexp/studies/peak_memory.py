"""The most memory that one run held, in a process that may carry out many of them."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path
from typing import Any

import torch

resource: Any
try:
    import resource
except ImportError:
    # Windows has no such module.
    resource = None

CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Written to it, the peak of resident memory counts from now on. Source: Linux, Documentation/filesystems/proc.rst."""
STATUS = Path("/proc/self/status")
PEAK = "VmHWM:"
"""The line of the peak of resident memory, in KiB."""


class PeakMemory:
    """What a process asks at the beginning and at the end of each of its runs."""

    def __init__(self) -> None:
        self._n_runs = 0
        self._counts_from_now = False

    def restart(self) -> None:
        """A run begins: what this process held before is none of its memory."""
        self._n_runs += 1
        if self._n_runs > 1:
            _give_back()
        else:
            # What was imported stays, and need not be looked through again before each of the next runs.
            gc.freeze()
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.reset_peak_memory_stats()
        self._counts_from_now = False
        with contextlib.suppress(OSError):
            CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
            self._counts_from_now = _read_peak_kib() is not None

    def read_mib(self) -> float | None:
        """Most memory since the run began: on the GPU where there is one, else resident.

        None where nobody says, and where an earlier run of this process may have held it.
        """
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 2**20
        if self._n_runs > 1 and not self._counts_from_now:
            return None
        if (kib := _read_peak_kib()) is not None:
            return kib / 2**10
        if resource is None:
            return None
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


PEAK_MEMORY = PeakMemory()
"""Of this process."""


def _give_back() -> None:
    """Free what earlier runs left, also what glibc keeps of it for later."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _read_peak_kib() -> int | None:
    """Linux's own count; None on other systems, and where it is hidden."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in STATUS.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(PEAK):
                return int(line.split()[1])
    return None
