"""Studies of any size without training: a cluster whose nodes die at random, and runs that only write their records.

`python -m tests.scale.simulated 10000` prints what planning, scheduling, listing and packing so many runs take.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.config import build_config
from gptexp.records import EvalRecord, Record, StepRecord
from gptexp.studies.job import Job
from gptexp.studies.launchers import JobEnd, JobEvent, JobFunction, Notice
from gptexp.studies.plan import PlannedRun, plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.results import summarize
from gptexp.studies.runner import run_plan
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from gptexp.tracking.lines import append_line
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import RunLog
from gptexp.training.progress import fold
from tests.studies.tiny import TINY, write_corpus

ARMS = 20


def make_records(job: Job) -> list[Record]:
    """What a run would record, from its seed alone."""
    config = build_config(job.content["config"])
    chance = random.Random(f"{job.run_id}")
    records: list[Record] = [EvalRecord(0, 3.0, 4.0, 100, False)]
    for step in range(1, config.max_steps + 1):
        loss = 3.0 / step**0.2 + chance.gauss(0, 0.01)
        records.append(StepRecord(step, loss, config.lr, 0.5, False, step * config.tokens_per_step, 0.01, 1e4))
    return [*records, EvalRecord(config.max_steps, loss, loss / 0.7, 100, False)]


def write_run(job: Job) -> Any:
    """A run folder like that of a training, in a millisecond."""
    run_dir = RunDir(Path(job.run_dir))
    run_dir.write_config(job.content)
    append_line(run_dir.provenance, {"command": job.command, "from_step": 0, "earlier_s": 0.0}, run_dir.within)
    records = make_records(job)
    with contextlib.closing(RunLog(run_dir.records)) as log:
        for record in records:
            log.log(record)
        log.sync()
    result = summarize(job.run_id, "completed", f"{TINY['max_steps']} steps", fold(records), 1.0)
    run_dir.write_result(result, log.sum)
    return result


@dataclass
class SimulatedCluster:
    """A launcher whose clock is a number: each step takes a second, and each node dies about every `mean_life_s`."""

    n_nodes: int
    mean_life_s: float = float("inf")
    seed: int = 0
    clock_s: float = 0.0
    deaths: int = 0
    lost_steps: int = 0
    longest_loss: int = 0
    stopping: bool = False

    def launch(self, function: JobFunction, jobs: Sequence[Any]) -> Iterator[JobEvent | JobEnd]:
        """A node that dies gives its run to the next one, from the run's last checkpoint."""
        chance, number = random.Random(self.seed), 0
        waiting = deque((job, 0) for job in jobs)
        busy: list[tuple[float, int, Job, int, int]] = []
        while busy or waiting:
            while waiting and len(busy) < self.n_nodes:
                job, begin = waiting.popleft()
                reached = job.content["config"]["max_steps"]
                if self.mean_life_s < float("inf"):
                    reached = min(reached, begin + int(chance.expovariate(1 / self.mean_life_s)))
                number += 1
                heapq.heappush(busy, (self.clock_s + reached - begin, number, job, begin, reached))
            self.clock_s, _, job, begin, reached = heapq.heappop(busy)
            config = job.content["config"]
            if reached == config["max_steps"]:
                yield JobEnd(job, result=write_run(job))
                continue
            kept = max(begin, reached - reached % config["checkpoint_interval"])
            self.deaths += 1
            self.lost_steps += reached - kept
            self.longest_loss = max(self.longest_loss, reached - kept)
            yield JobEvent(job, Notice("its node was lost"))
            waiting.append((job, kept))

    def stop(self) -> None:
        self.stopping = True

    kill = stop


class Silent:
    """A view that shows nothing."""

    def on_event(self, run_id: str, event: Any) -> None: ...

    def on_end(self, run_id: str, result: Any, error: str | None) -> None: ...

    def on_mirrored(self, run_id: str, error: str | None) -> None: ...


def make_request(n_runs: int, corpus: Path) -> StudyRequest:
    """A study of `ARMS` arms that comes to so many runs."""
    arms = tuple(Arm(f"lr-{n}", f"rate {n}", {"lr": n * 1e-4}) for n in range(1, ARMS + 1))
    study = Study("simulated", "How does it grow?", "Linearly.", "", arms=arms)
    settings = {**TINY, "device": "cpu", "precision": "fp32", "threads": 1}
    del settings["lr"]
    return StudyRequest(study, find_scale("quick"), n_runs // ARMS, settings, str(corpus))


def carry_out(planned: Sequence[PlannedRun], cluster: SimulatedCluster) -> dict[str, Any]:
    """The results of all runs of a plan, by a cluster that trains nothing."""
    return run_plan(planned, cluster, Silent(), command="simulated")


@contextlib.contextmanager
def timed(what: str, n_runs: int) -> Iterator[None]:
    """Print the seconds of this processor that something took, and the largest memory so far."""
    before, began = time.process_time(), time.perf_counter()
    yield
    cpu, wall = time.process_time() - before, time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = f"{1000 * cpu / n_runs:.2f} ms a run"
    print(f"{n_runs:6,} runs: {what:10} {cpu:6.2f} s of CPU, {each:15} {wall:6.2f} s by the clock, {memory:,.0f} MiB")


def main() -> None:
    n_runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus, runs = folder / "tiny.txt", folder / "runs"
        write_corpus(corpus)
        plan_runs([make_request(ARMS, corpus)], runs)
        with timed("plan", n_runs):
            planned = plan_runs([make_request(n_runs, corpus)], runs)
        cluster = SimulatedCluster(n_nodes=100, mean_life_s=30.0)
        with timed("schedule", n_runs):
            carry_out(planned, cluster)
        print(
            f"100 nodes that live 30 s: {cluster.deaths:,} died, {cluster.lost_steps:,} of "
            f"{n_runs * TINY['max_steps']:,} steps were computed twice, at most {cluster.longest_loss} at once"
        )
        for words in (["runs", "list"], ["runs", "pack", "--out", str(folder / "packed")]):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            command = [sys.executable, "-m", "gptexp", *words, "--runs-dir", str(runs)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            wall = time.perf_counter() - began
            memory = after.ru_maxrss / 1024
            what = " ".join(words[:2])
            print(f"{n_runs:6,} runs: {what:10} {cpu:6.2f} s of CPU, {wall:6.2f} s by the clock, {memory:,.0f} MiB")


if __name__ == "__main__":
    main()
