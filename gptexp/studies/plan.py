"""What a request would do: every run, and whether it is done, resumable or new."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.files import exists, explain
from gptexp.identity import canonical_json
from gptexp.machine import count_cores, divide_gpus
from gptexp.mirrors.protocol import TrackerSettings
from gptexp.studies.estimate import estimate_memory_mib
from gptexp.studies.initial import find_weights
from gptexp.studies.job import Job
from gptexp.studies.keeper import find_resumable
from gptexp.studies.launchers import Needs
from gptexp.studies.prediction import encode_predictions, hash_predictions
from gptexp.studies.request import StudyRequest
from gptexp.studies.resolve import ResolvedRun, resolve_run
from gptexp.studies.study import Arm
from gptexp.studies.twins import check_overrides, check_twins
from gptexp.text import clean_value
from gptexp.tracking.housekeeping import list_run_dirs
from gptexp.tracking.packs import check_takes_runs
from gptexp.tracking.provenance import now
from gptexp.tracking.result import STOPPED, Result
from gptexp.tracking.run_dir import RunDir
from gptexp.training.device import find_gpus
from gptexp.version import ENGINE_VERSION

HOST_MIB = 4096
"""Memory of the machine, in MiB, that a process takes whose tensors are on a GPU."""


@dataclass(frozen=True)
class PlannedRun:
    """One arm at one seed, and where it stands."""

    request: StudyRequest
    arm: Arm
    seed: int
    run: ResolvedRun
    run_dir: RunDir
    status: str
    """done, reached (it was stopped at the last step that is asked for, or later), resumable, new, damaged or stale."""
    why: str
    from_step: int
    """Where training goes on."""
    until_step: int | None = None
    """The last step that is asked for; None where the whole run is."""
    init_from: str | None = None
    """The folder with the weights that it starts from."""
    is_parent: bool = False
    """Whether it is the parent of the plan's forks: it stays as it was recorded, and its outcome is not the plan's."""

    @property
    def last_step(self) -> int:
        """The step at which the run is to end, or to be stopped."""
        whole = self.run.config.max_steps
        return whole if self.until_step is None else min(self.until_step, whole)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return self.status in ("done", "reached")

    @property
    def remaining_steps(self) -> int:
        return 0 if self.is_over else max(0, self.last_step - self.from_step)

    @property
    def corpus(self) -> str | None:
        """What to load the run's corpus by; None where nobody named one."""
        return self.request.corpus_of(self.arm)

    def job(self, command: str, trackers: Sequence[TrackerSettings] = (), *, replay: bool = False) -> Job:
        """The run as `execute` takes it.

        Args:
            command: what was typed, for the provenance.
            replay: tell the trackers even when the run is done.
        """
        return Job(
            run=self.run,
            run_dir=str(self.run_dir.path),
            corpus=self.corpus or self.run.content["corpus"]["name"],
            init_from=self.init_from,
            command=command,
            # Of a run that is over, its mirror already has the labels of who asked first.
            member=self.run_dir.read_members()[0] if self.is_over else self.member(),
            until_step=self.until_step,
            trackers=tuple(trackers),
            replay=replay,
            is_over=self.is_over,
            needs=find_needs(self.run),
        )

    def member(self) -> dict[str, Any]:
        """The row of members.jsonl that says who asked for this run."""
        request = self.request
        row = {
            "study": request.study.name,
            "arm": self.arm.name,
            "label": self.arm.label,
            "scale": request.scale.name,
            "seed": self.seed,
            "variant": request.variant,
            "definition": request.definition,
            "question": request.study.question,
            "hypothesis": request.study.hypothesis,
            "asked_at": now(),
        }
        if request.detect is not None:
            row["detect"] = request.detect
        if predictions := encode_predictions(request.study.predictions):
            row |= {"predictions": predictions, "prediction_hash": hash_predictions(predictions)}
        # Labels of a train command or a sweep come from whoever typed them.
        return dict(clean_value(row))


def plan_runs(
    requests: Sequence[StudyRequest], runs_dir: Path, until_step: int | None = None, jobs: int | None = None
) -> list[PlannedRun]:
    """Every run that the requests ask for, seed by seed so that all arms have their first seed early.

    Args:
        until_step: stop each run after this step, its config being that of the whole run; None trains them whole.
        jobs: runs at once that were asked for; where a run's threads are auto, they share the cores.

    Raises:
        GptexpError: a config that doesn't fit, a corpus or device that can't be had, two arms of one study that would
            be the same run, or a folder of packed records.
    """
    check_takes_runs(runs_dir)
    planned: list[PlannedRun] = []
    stale = find_stale(runs_dir)
    for request in requests:
        check_overrides(request)
        arms = request.arms
        for seeds in zip(*(request.seed_values(arm) for arm in arms), strict=True):
            places = zip(arms, seeds, strict=True)
            planned += [_plan_run(request, arm, seed, runs_dir, stale, until_step, jobs) for arm, seed in places]
        check_twins(request, [(item.arm, item.run) for item in planned if item.request is request])
    return planned


def _plan_run(
    request: StudyRequest,
    arm: Arm,
    seed: int,
    runs_dir: Path,
    stale: Mapping[tuple[str, str, str, int, str], str],
    until_step: int | None,
    jobs: int | None,
) -> PlannedRun:
    config = request.config(arm, seed)
    weights = find_weights(request, arm)
    run = resolve_run(config, request.corpus_of(arm), jobs, weights.vocabulary if weights else None)
    run_dir = RunDir(runs_dir / run.run_id)
    status, why, from_step = find_status(run_dir, config.max_steps, until_step)
    place = (request.study.name, arm.name, request.scale.name, seed, canonical_json(request.variant))
    if status == "new" and place in stale:
        status, why = "stale", stale[place]
    init_from = weights.folder if weights else None
    return PlannedRun(request, arm, seed, run, run_dir, status, why, from_step, until_step, init_from)


def find_status(run_dir: RunDir, max_steps: int, until_step: int | None = None, begin: int = 0) -> tuple[str, str, int]:
    """Status, the reason in words, and the step to go on from.

    Args:
        begin: the step that it begins from; of a fork one of its parent's.
    """
    began = exists(run_dir.records, run_dir.within)
    try:
        result, done = run_dir.read_result(), run_dir.read_done(until_step)
        if done is not None and (reason := run_dir.why_other_config()) is not None:
            return "damaged", f"{reason}; it is written again", done.last_step
        if began:
            run_dir.read_config()
    except (ValueError, OSError) as error:
        step = find_resumable(run_dir, max_steps) or begin
        return "damaged", f"{_one_line(error)}; it is written again, going on from step {step}", step
    if done is not None:
        if done.outcome == STOPPED:
            return "reached", f"stopped {done.outcome_detail}", done.last_step
        return "done", f"{done.outcome}, {done.outcome_detail}", done.last_step
    earlier = describe_earlier(result)
    if step := find_resumable(run_dir, max_steps):
        return "resumable", f"{earlier}; goes on from step {step}", step
    if began:
        return "resumable", f"{earlier} before its first checkpoint; starts again from step {begin}", begin
    return "new", "not run yet", begin


def describe_earlier(result: Result | None) -> str:
    """How far the last process came with a run that goes on."""
    if result is None:
        return "interrupted"
    between = " " if result.outcome == STOPPED else ": "
    return f"{result.outcome}{between}{result.outcome_detail}"


def find_stale(runs_dir: Path) -> dict[tuple[str, str, str, int, str], str]:
    """(study, arm, scale, seed, variant) of runs that an older engine made -> why they don't count any more."""
    found = {}
    for run_dir in list_run_dirs(runs_dir):
        try:
            version = run_dir.read_config()["engine_version"]
        except (ValueError, KeyError, FileNotFoundError):
            continue
        if version == ENGINE_VERSION:
            continue
        for row in run_dir.read_members():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                place = (row["study"], row["arm"], row["scale"], row["seed"], canonical_json(row["variant"]))
                found[place] = f"run {run_dir.path.name} was made by engine version {version}, this is {ENGINE_VERSION}"
    return found


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return f"a file of it can't be read ({explain(error)})"
    return "config.json is missing" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())


def find_needs(run: ResolvedRun) -> Needs:
    """What a run takes of a machine: its threads, a GPU for each of its processes, and memory."""
    config = run.config
    on_gpu = config.device == "cuda"
    memory = config.world_size * HOST_MIB if on_gpu else math.ceil(estimate_memory_mib(config, run.content["n_params"]))
    return Needs(config.n_threads * config.world_size, float(config.world_size) if on_gpu else 0.0, memory)


def count_workers(planned: Sequence[PlannedRun], jobs: int | None, launcher: object = None) -> int:
    """Runs at once: what was asked for, else as many as fit; never more than runs.

    Args:
        launcher: one that works elsewhere (`is_elsewhere`) decides itself how many fit there; a share of a GPU that it
            gives each run (`gpus_per_run`) decides how many fit here.
    """
    waiting = {item.run.run_id for item in planned if not item.is_over}
    fitting = len(waiting)
    if not getattr(launcher, "is_elsewhere", False):
        fitting = count_fitting(planned, getattr(launcher, "gpus_per_run", None))
    return max(1, min(jobs or fitting, len(waiting)))


def count_fitting(planned: Sequence[PlannedRun], gpus_per_run: float | None = None) -> int:
    """How many such runs fit beside each other: one on each GPU, cores / threads on a CPU.

    Args:
        gpus_per_run: GPUs, or the share of one, that each of them takes; None takes one for each of its processes.
    """
    configs = [item.run.config for item in planned]
    if all(config.device == "cpu" for config in configs):
        threads = max(config.n_threads * config.world_size for config in configs)
        return max(1, count_cores() // threads)
    each = gpus_per_run or max(config.world_size for config in configs)
    return max(1, len(divide_gpus(find_gpus(), each)))
