"""Work at which a process dies, for `test_side_by_side`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path


def square(item: tuple[int, str]) -> int:
    """The square; the first child process that is asked for a number above 2 kills itself."""
    number, mark = item
    time.sleep(0.05)
    if number > 2 and multiprocessing.parent_process() is not None:
        try:
            Path(mark).touch(exist_ok=False)
        except FileExistsError:
            return number * number
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number
