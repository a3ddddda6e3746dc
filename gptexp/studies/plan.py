"""What a request would do: every run, and whether it is done, resumable or new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.studies.resolve import ResolvedRun, resolve_run
from gptexp.studies.study import Arm, StudyRequest
from gptexp.tracking.provenance import now
from gptexp.tracking.run_dir import DONE, RunDir
from gptexp.training.checkpoint import list_checkpoints


@dataclass(frozen=True)
class PlannedRun:
    """One arm at one seed, and where it stands."""

    request: StudyRequest
    arm: Arm
    seed: int
    run: ResolvedRun
    run_dir: RunDir
    status: str
    """done, resumable, new or retry."""
    why: str
    from_step: int
    """Where training goes on."""

    @property
    def remaining_steps(self) -> int:
        return 0 if self.status == "done" else self.run.config.max_steps - self.from_step

    def member(self) -> dict[str, Any]:
        """The row of members.jsonl that says who asked for this run."""
        request = self.request
        return {
            "study": request.study.name,
            "arm": self.arm.name,
            "label": self.arm.label,
            "scale": request.scale.name,
            "seed": self.seed,
            "variant": request.variant,
            "definition": request.study.definition(request.scale, request.overrides),
            "question": request.study.question,
            "asked_at": now(),
        }


def plan_runs(requests: Sequence[StudyRequest], runs_dir: Path) -> list[PlannedRun]:
    """Every run that the requests ask for, seed by seed so that all arms have their first seed early.

    Raises:
        GptexpError: a config that doesn't fit, or a corpus or device that can't be had.
    """
    planned = []
    for request in requests:
        for seed in request.seed_values():
            for arm in request.study.arms:
                config = request.study.config(arm, request.scale, seed, request.overrides)
                run = resolve_run(config, request.corpus)
                run_dir = RunDir(runs_dir / run.run_id)
                planned.append(PlannedRun(request, arm, seed, run, run_dir, *find_status(run_dir)))
    return planned


def find_status(run_dir: RunDir) -> tuple[str, str, int]:
    """Status, the reason in words, and the step to go on from."""
    try:
        result = run_dir.read_result()
    except ValueError as error:
        return "retry", f"{error}; it is computed again", 0
    if result is not None and result.outcome in DONE:
        return "done", f"{result.outcome}, {result.outcome_detail}", result.last_step
    earlier = f"{result.outcome}: {result.outcome_detail}" if result else "interrupted"
    checkpoints = list_checkpoints(run_dir.checkpoints)
    if checkpoints:
        step = int(checkpoints[0].name.removeprefix("step-"))
        return "resumable", f"{earlier}; goes on from step {step}", step
    if run_dir.records.exists():
        return "retry", f"{earlier} before its first checkpoint; starts again", 0
    return "new", "not run yet", 0
