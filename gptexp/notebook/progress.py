"""A progress bar of plain text: it needs no widget, and works in every notebook."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from gptexp.wording import write_duration

WIDTH = 30
INTERVAL_S = 0.5


def track(steps: Sequence[int]) -> Iterator[int]:
    """The steps, with a line under the cell that says how far they are and how long the rest will take."""
    started = last = time.monotonic()
    for done, step in enumerate(steps):
        yield step
        now = time.monotonic()
        if now - last > INTERVAL_S or done + 1 == len(steps):
            last = now
            _draw(done + 1, len(steps), now - started)
    print()


def _draw(done: int, total: int, seconds: float) -> None:
    bar = "█" * (WIDTH * done // total)
    left = f"{write_duration(seconds / done * (total - done))} left" if done < total else write_duration(seconds)
    print(f"\r{bar:░<{WIDTH}} step {done:,} of {total:,}, {left}      ", end="", flush=True)
