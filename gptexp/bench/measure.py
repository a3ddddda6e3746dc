"""Runs the comparison: contestants in child processes take turns, so that all run under the same conditions."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from statistics import median
from typing import Any

from gptexp.bench.contestant import Side, serve
from gptexp.bench.overheads import Part
from gptexp.bench.reference import CLIPS_AT
from gptexp.config import RunConfig
from gptexp.errors import GptexpError
from gptexp.processes import SafeSpawnContext
from gptexp.studies.resolve import ResolvedRun, resolve_run
from gptexp.training.device import resolve_hardware
from gptexp.training.precision import measure_products

WARMUP_STEPS = 2
"""Untimed first steps, in which memory is allocated."""
END_PATIENCE_S = 5.0
"""Seconds that a child process gets to end by itself."""

Progress = Callable[[str], None]
"""Called with the name of the phase that begins."""


@dataclass(frozen=True)
class BenchRequest:
    """What to measure."""

    config: RunConfig
    corpus: str | None
    precisions: tuple[str, ...]
    """Precisions of gptexp's loop; the reference loop is always fp32."""
    steps: int
    """Timed steps per round."""
    rounds: int
    with_compile: bool = False
    """Also time both loops through torch.compile."""
    with_overheads: bool = True


class _Child:
    """A contestant's process and the pipe to it."""

    def __init__(self, side: Side) -> None:
        self.side = side
        context = SafeSpawnContext()
        self._wire: Connection
        self._wire, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=serve, args=(side, theirs), daemon=True)
        started = time.perf_counter()
        self._process.start()
        theirs.close()
        build_s = self._receive()
        self.startup_s = time.perf_counter() - started - build_s
        """Seconds from the process's start until it was ready to build its model."""

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a method of the contestant.

        Raises:
            GptexpError: it reported an error, or its process died.
        """
        self._wire.send((name, arguments))
        return self._receive()

    def _receive(self) -> Any:
        try:
            kind, content = self._wire.recv()
        except (EOFError, OSError):
            self._process.join(END_PATIENCE_S)
            raise GptexpError(
                f"the process that timed {self.side.name} ended with status {self._process.exitcode}; if memory "
                f"ran out, set a smaller --set batch_size=..."
            ) from None
        if kind == "failed":
            raise GptexpError(content)
        return content

    def end(self) -> None:
        self._wire.close()
        self._process.join(END_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def choose_precisions(asked: str, config: RunConfig) -> tuple[tuple[str, ...], dict[str, str]]:
    """The precisions to time, and the reason for each one that is left out.

    Args:
        asked: fp32, bf16, or all (fp32, and bf16 if it is faster on this machine).

    Raises:
        GptexpError: the device is missing, or doesn't support the precision.
    """
    if asked != "all":
        resolve_hardware(config.override({"precision": asked}))
        return (asked,), {}
    chosen = resolve_hardware(config.override({"precision": "auto"}))
    if chosen.precision == "bf16":
        return ("fp32", "bf16"), {}
    measured = (
        f"{measure_products(config)} on this cpu"
        if chosen.device == "cpu"
        else f"this {chosen.device} has no units for it"
    )
    return ("fp32",), {"bf16": f"auto is fp32: {measured}"}


def run_bench(request: BenchRequest, progress: Progress) -> dict[str, Any]:
    """Run the comparison; returns what `gptexp bench --json` prints.

    Raises:
        GptexpError: the config, the corpus or the device can't be used, or a child process died.
    """
    if request.config.grad_accum_steps != 1:
        raise GptexpError(
            f"grad_accum_steps={request.config.grad_accum_steps} can't be compared, since the reference loop takes "
            f"one batch per step; leave it at 1 and set batch_size"
        )
    runs = {
        precision: resolve_run(request.config.override({"precision": precision}), request.corpus)
        for precision in dict.fromkeys(("fp32", *request.precisions))
    }
    ways = (False, True) if request.with_compile else (False,)
    sides = [_make_side("plain", runs["fp32"], request, compile_=way) for way in ways]
    sides += [
        _make_side("gptexp", runs[precision], request, compile_=way) for precision in request.precisions for way in ways
    ]
    with _start_children(sides, progress) as children:
        for child in children:
            progress(f"warm-up, {child.side.name}")
            child.ask("take_steps", WARMUP_STEPS)
        rounds = [_play_round(children, request.steps, number, progress) for number in range(1, request.rounds + 1)]
        overheads: list[Part] = []
        if request.with_overheads:
            progress("around the steps")
            child = children[len(ways)]
            overheads = [Part("start-up", 1, child.startup_s, once_per_worker=True), *child.ask("overheads")]
        compile_s = {child.side.name: child.ask("compile_s") for child in children}
    return _summarize(sides, rounds, overheads, compile_s, request)


def _make_side(loop: str, run: ResolvedRun, request: BenchRequest, *, compile_: bool) -> Side:
    # The schedule must cover all timed steps. A longer run has the same time per step.
    needed = WARMUP_STEPS + request.rounds * request.steps + run.config.resolved_warmup_steps + 1
    config = run.config.override({"max_steps": max(run.config.max_steps, needed), "compile": compile_})
    name = f"{loop} {config.precision}" + (" compiled" if compile_ else "")
    return Side(name, loop == "plain", config, request.corpus, run.content)


@contextlib.contextmanager
def _start_children(sides: Sequence[Side], progress: Progress) -> Iterator[list[_Child]]:
    children: list[_Child] = []
    try:
        for side in sides:
            progress(f"start, {side.name}")
            children.append(_Child(side))
        yield children
    finally:
        for child in children:
            child.end()


@dataclass(frozen=True)
class _Turn:
    """One side's part in one round."""

    side: str
    step_s: float
    """Median seconds of its steps."""
    losses: list[float]
    memory_mib: float
    floor_s: float | None
    """Median seconds of the matrix products alone; None for the reference."""


def _play_round(children: Sequence[_Child], steps: int, number: int, progress: Progress) -> list[_Turn]:
    """One turn of each side. Every second round runs in reverse order, so that a slowing machine affects all alike."""
    turns = []
    for child in children if number % 2 else children[::-1]:
        progress(f"round {number}, {child.side.name}")
        seconds, losses = child.ask("take_steps", steps)
        # Measured before time_floor, whose operands don't belong to a step.
        memory_mib = child.ask("memory_mib") if number == 1 else 0.0
        floor_s = None if child.side.is_reference else child.ask("time_floor", steps)
        turns.append(_Turn(child.side.name, median(seconds), losses, memory_mib, floor_s))
    return turns


def _summarize(
    sides: Sequence[Side],
    rounds: list[list[_Turn]],
    overheads: list[Part],
    compile_s: dict[str, float | None],
    request: BenchRequest,
) -> dict[str, Any]:
    by_side = {side.name: [next(t for t in turns if t.side == side.name) for turns in rounds] for side in sides}
    reference = by_side[sides[0].name]
    found = {side.name: _compare(side, by_side[side.name], reference) for side in sides}
    for side in sides:
        if side.config.compile:
            eager = found[side.name.removesuffix(" compiled")]
            found[side.name] |= _judge_compiling(found[side.name], eager, compile_s[side.name] or 0.0)
    results = [found[side.name] for side in sides if not side.is_reference]
    first = next(side for side in sides if not side.is_reference)
    # The run's length comes from its own config: a side's config may be longer, to cover all timed steps.
    rows, run_s = _share_out(overheads, results[0]["step_s"]["median"], first.content["config"]["max_steps"])
    return {
        "steps": request.steps,
        "rounds": request.rounds,
        "threads": first.config.n_threads,
        "device": first.config.device,
        "config": first.content["config"],
        "tokens_per_step": first.config.tokens_per_step,
        "reference": found[sides[0].name],
        "reference_compiled": found.get(f"{sides[0].name} compiled"),
        "results": results,
        "run_s": run_s if rows else None,
        "overheads": rows,
    }


def _compare(side: Side, turns: list[_Turn], reference: list[_Turn]) -> dict[str, Any]:
    pairs = list(zip(turns, reference, strict=True))
    # The lesson's loop clips at 1.0 and draws other dropout masks, so the losses are comparable only for grad_clip=1.0
    # and dropout=0.
    same = side.config.grad_clip == CLIPS_AT and side.config.dropout == 0
    apart = [abs(a - b) for ours, theirs in pairs for a, b in zip(ours.losses, theirs.losses, strict=True)]
    floors = [turn.floor_s for turn in turns if turn.floor_s is not None]
    shares = [turn.floor_s / turn.step_s for turn in turns if turn.floor_s is not None]
    return {
        "loop": side.name,
        "precision": side.config.precision,
        "compiled": side.config.compile,
        **_describe_turns(turns, side.config.tokens_per_step),
        "speedup": _spread([theirs.step_s / ours.step_s for ours, theirs in pairs]),
        "memory_share": turns[0].memory_mib / reference[0].memory_mib,
        "floor_s": _spread(floors) if floors else None,
        "floor_share": _spread(shares) if shares else None,
        "largest_loss_difference": max(apart) if same else None,
    }


def _judge_compiling(compiled: dict[str, Any], eager: dict[str, Any], compile_s: float) -> dict[str, Any]:
    """Compile time, and the number of steps after which it has paid off; None if the steps are not faster."""
    saved_s = eager["step_s"]["median"] - compiled["step_s"]["median"]
    return {"compile_s": compile_s, "pays_after_steps": math.ceil(compile_s / saved_s) if saved_s > 0 else None}


def _describe_turns(turns: list[_Turn], tokens_per_step: int) -> dict[str, Any]:
    return {
        "step_s": _spread([turn.step_s for turn in turns]),
        "tokens_per_s": _spread([tokens_per_step / turn.step_s for turn in turns]),
        "peak_memory_mib": turns[0].memory_mib,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range over the rounds."""
    return {"median": median(values), "low": min(values), "high": max(values)}


def _share_out(parts: Sequence[Part], step_s: float, n_steps: int) -> tuple[list[dict[str, Any]], float]:
    """Each part with its seconds and its share of the run, and the seconds of the whole run."""
    run_s = n_steps * step_s + sum(part.times * part.each_s for part in parts)
    rows = [
        {
            "part": part.name,
            "times": part.times,
            "each_s": part.each_s,
            "seconds": part.times * part.each_s,
            "share": part.times * part.each_s / run_s,
            "once_per_worker": part.once_per_worker,
        }
        for part in parts
    ]
    return rows, run_s
