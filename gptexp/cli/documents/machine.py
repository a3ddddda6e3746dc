"""Formats of what a machine can do: doctor and bench."""

from __future__ import annotations

from typing import Literal

from gptexp.cli.documents.base import Document, Fields, Part


class CheckRow(Document):
    """A check of this machine. The exit status is 1 where one is a problem."""

    commands = ("gptexp doctor",)
    shape = "list"

    format: Literal["gptexp.doctor/1"]
    check: str
    status: Literal["ok", "note", "problem"]
    detail: str
    advice: str
    """What to do; empty for nothing."""


class Spread(Part):
    """A number over the rounds."""

    median: float
    low: float
    high: float


class Loop(Part):
    """A timed training loop."""

    loop: str
    precision: str
    compiled: bool
    step_s: Spread
    tokens_per_s: Spread
    peak_memory_mib: float
    speedup: Spread
    """Times as fast as the plain loop."""
    memory_share: float
    """Of the plain loop's peak memory."""
    floor_s: Spread | None
    """Of the step's matrix products alone."""
    floor_share: Spread | None
    largest_loss_difference: float | None
    """From the plain loop's losses, nats; null where the two train differently."""
    compile_s: float | None = None
    """Of a compiled loop only, like the next."""
    pays_after_steps: int | None = None
    """After so many steps compiling has paid; null where it never does."""


class Overhead(Part):
    """What a run does besides its steps."""

    part: str
    times: int
    each_s: float
    seconds: float
    share: float
    once_per_worker: bool


class Bench(Document):
    """How fast a training step is on this machine."""

    commands = ("gptexp bench",)

    format: Literal["gptexp.bench/1"]
    scale: str
    settings: Fields
    machine: str | None
    left_out: dict[str, str]
    """Precision -> why it was not timed."""
    steps: int
    """Timed in each round."""
    rounds: int
    threads: int
    device: str
    config: Fields
    tokens_per_step: int
    reference: Loop
    """The plain loop."""
    reference_compiled: Loop | None
    results: list[Loop]
    run_s: float | None
    """Of a whole run with its overheads."""
    overheads: list[Overhead]
    """Empty with --no-overheads."""
