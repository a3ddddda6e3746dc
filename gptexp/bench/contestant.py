"""One side of the comparison, in its own process: it takes steps on request and waits in between."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import torch
from torch import nn

from gptexp.bench.overheads import Part, measure_overheads
from gptexp.bench.reference import compile_plain_model, take_plain_steps, use_plain_parts
from gptexp.config import RunConfig
from gptexp.data.batches import Tokens
from gptexp.errors import GptexpError
from gptexp.studies.execute import build_training
from gptexp.studies.peak_memory import PEAK_MEMORY
from gptexp.studies.resolve import read_tokens
from gptexp.training.compiling import compile_training
from gptexp.training.device import Hardware, prepare_cpu
from gptexp.training.divergence import Diverged
from gptexp.training.loop import Training, train
from gptexp.training.products import StepProducts


@dataclass(frozen=True)
class Side:
    """What a contestant trains. Picklable, because it is sent to another process."""

    name: str
    is_reference: bool
    config: RunConfig
    """Resolved, with this side's `precision` and `compile`."""
    corpus: str | None
    """Name or path of the corpus; None if none was named."""
    content: dict[str, Any]
    """The config.json of the run whose overheads are reported."""


class StopWatch:
    """A training observer that only measures the time of each step."""

    def __init__(self, first: int, n_steps: int) -> None:
        self._steps = range(first, first + n_steps)
        self._started = 0.0
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def steps(self) -> Iterator[int]:
        for step in self._steps:
            self._started = time.perf_counter()
            yield step

    def before_update(self, step: int) -> None: ...

    def after_step(self, step: int, lr: float, loss: float, grad_norm: float) -> None:
        self.seconds.append(time.perf_counter() - self._started)
        self.losses.append(loss)

    def diverged(self, *_: object) -> None: ...


def take_steps(training: Training, first: int, n_steps: int) -> tuple[list[float], list[float]]:
    """Take steps `first`, `first + 1`, ... with the loop of `gptexp run`.

    Returns:
        Seconds and loss (nats per token) of each step.

    Raises:
        GptexpError: the training diverged, so its steps can't be timed.
    """
    watch = StopWatch(first, n_steps)
    try:
        train(training, watch)
    except Diverged as error:
        raise GptexpError(f"the training to be timed diverged ({error}); set a smaller lr: --set lr=1e-4") from None
    return watch.seconds, watch.losses


class Contestant:
    """Answers the requests of `gptexp.bench.measure`. A request is a method's name with its arguments."""

    def __init__(self, side: Side) -> None:
        prepare_cpu(side.config.n_threads)
        self._side = side
        self._tokens: Tokens = read_tokens(side.corpus, side.config.tokenizer)
        hardware = Hardware(side.config.device, side.config.precision)
        # The first optimizer of a process imports much of torch. That counts as start-up, once per worker.
        torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
        started = time.perf_counter()
        self.training = build_training(side.config, hardware, self._tokens)
        self.build_s = time.perf_counter() - started
        self._compile_s: float | None = None
        if side.is_reference:
            use_plain_parts(self.training)
            self._model: nn.Module = self.training.model
            if side.config.compile:
                self._model, self._compile_s = compile_plain_model(self.training)
        elif side.config.compile:
            self._compile_s = compile_training(self.training)
        self._products: StepProducts | None = None
        self._next_step = 1

    def take_steps(self, n_steps: int) -> tuple[list[float], list[float]]:
        """Seconds and losses of the next `n_steps` steps."""
        first, self._next_step = self._next_step, self._next_step + n_steps
        if self._side.is_reference:
            return take_plain_steps(self.training, self._model, first, n_steps)
        return take_steps(self.training, first, n_steps)

    def compile_s(self) -> float | None:
        """Seconds that compiling took; None if nothing was compiled."""
        return self._compile_s

    def memory_mib(self) -> float:
        """Peak memory of this process so far, in MiB; 0 where nobody says."""
        return PEAK_MEMORY.read_mib() or 0.0

    def time_floor(self, times: int) -> float:
        """Median seconds of the matrix products of one step."""
        if self._products is None:
            # Created on first use, so that its operands don't count towards the memory of the step.
            self._products = StepProducts(self._side.config)
            self._products.time_once()
        return median(self._products.time_once() for _ in range(times))

    def overheads(self) -> list[Part]:
        """The overheads of a run besides its steps, without the start-up."""
        building = Part("model and optimizer", 1, self.build_s)
        return [building, *measure_overheads(self._side.content, self.training, self._tokens)]


def serve(side: Side, connection: Connection) -> None:
    """Main function of the process: build the contestant, report that, answer requests until the pipe closes."""
    with tempfile.TemporaryDirectory(prefix="gptexp-bench-") as folder:
        # An empty cache, so that the measured compile time is that of the first compilation.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        _serve(side, connection)


def _serve(side: Side, connection: Connection) -> None:
    try:
        contestant = Contestant(side)
        connection.send(("done", contestant.build_s))
        while True:
            name, arguments = connection.recv()
            connection.send(("done", getattr(contestant, name)(*arguments)))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except GptexpError as error:
        connection.send(("failed", str(error)))
