"""Plans forks: runs that share a parent's first steps, change some fields, and go on over the same batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gptexp.config import OptimizerConfig, RunConfig, ScheduleConfig, build_config, parse_assignment
from gptexp.errors import GptexpError
from gptexp.identity import short_hash
from gptexp.names import list_needs
from gptexp.studies.plan import PlannedRun, find_status
from gptexp.studies.request import StudyRequest
from gptexp.studies.resolve import ResolvedRun, read_run_tokens, resolve_run
from gptexp.studies.scales import SCALES, find_scale
from gptexp.studies.study import Arm, Study
from gptexp.studies.trunk import find_start
from gptexp.tracking.origin import FORK, FORKS, Origin
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir
from gptexp.version import ENGINE_VERSION, LATER_FIELDS

FORKABLE = frozenset(
    {
        *(name for name in OptimizerConfig.model_fields if name != "optimizer"),
        *ScheduleConfig.model_fields,
        *("dropout", "outlier_at", "eval_interval", "final_eval", "checkpoint_interval"),
        *("sample_interval", "sample_losses", "sample_tokens", "step_metrics", "metrics_interval"),
    }
)
"""Config fields that a fork may change. All others decide the weights' shape, the batches, or the order of sums."""
PARENT_ARM = "parent"


@dataclass(frozen=True)
class ForkRequest(StudyRequest):
    """A parent and its forks with one set of changes, as a study of their own."""

    parent: str = ""

    @cached_property
    def definition(self) -> str:
        """The parent and the changes: forks at further steps join those that are there."""
        return short_hash({"parent": self.parent, "changes": self.deciding})


@dataclass(frozen=True)
class Parent:
    """A recorded run that is forked."""

    run_dir: RunDir
    content: Mapping[str, Any]
    """config.json."""
    config: RunConfig
    """Fields that came after the run stand at what it did."""
    last_step: int
    """The last step with finite numbers."""
    member: Mapping[str, Any]
    """The membership that asked for it first, or an empty mapping."""

    @property
    def run_id(self) -> str:
        return self.run_dir.path.name


def read_parent(run_dir: RunDir) -> Parent:
    """A recorded run, to be forked.

    Raises:
        GptexpError: it is damaged, has not ended, is a fork itself, or was made by another engine.
    """
    name = run_dir.path.name
    try:
        content, result = run_dir.read_config(), run_dir.read_result()
    except (OSError, ValueError) as error:
        raise GptexpError(f"run {name} can't be forked: {error}; `gptexp runs verify` says what is wrong") from None
    if content.get(FORK):
        raise GptexpError(f"run {name} is a fork itself; fork its parent {content[FORK]['parent']}")
    if content["engine_version"] != ENGINE_VERSION:
        raise GptexpError(
            f"run {name} was made by engine version {content['engine_version']}, and this is {ENGINE_VERSION}, which "
            f"gives other numbers; train it again, then fork that"
        )
    if result is None or result.outcome == "failed":
        raise GptexpError(f"run {name} has not ended yet; let it end, or stop it (Ctrl-C), then fork it")
    members = run_dir.read_members()
    last = _last_finite_step(result)
    config = build_config({**LATER_FIELDS, **content["config"]})
    return Parent(run_dir, content, config, last, members[0] if members else {})


def _last_finite_step(result: Result) -> int:
    return result.last_step if result.diverged_step is None else result.diverged_step - 1


def read_changes(settings: Sequence[str]) -> dict[str, Any]:
    """The assignments of the command line.

    Raises:
        GptexpError: an unknown field, or one that a fork can't change.
    """
    changes = dict(parse_assignment(text) for text in settings)
    if fixed := [name for name in changes if name not in FORKABLE]:
        raise GptexpError(
            f"{fixed[0]} can't change in a fork: it keeps the parent's weights, batches and order of sums; what can: "
            f"{', '.join(sorted(FORKABLE))}"
        )
    return changes


def cool_down(step: int, steps: int, schedule: str = "wsd") -> dict[str, Any]:
    """The changes that end a stable run at `step` with a decay of so many steps.

    Source: Hägele et al., arXiv 2405.18392: one stable run, and a cooldown from any of its steps.
    """
    return {"schedule": schedule, "decay_steps": steps, "max_steps": step + steps}


def plan_forks(
    parent: Parent,
    changes: Mapping[int, Mapping[str, Any]],
    runs_dir: Path,
    corpus: str | None = None,
    *,
    shared: Mapping[str, Any] | None = None,
    until: Mapping[int, int] | None = None,
) -> list[PlannedRun]:
    """The parent and a fork at each step, as runs of one study.

    Args:
        changes: step -> fields and their new values.
        corpus: what to load the parent's corpus by; None takes its name.
        shared: what the study is named by, where the changes differ from step to step; None takes those of the first.
        until: step of the fork -> the step at which it is stopped; None trains all to their end.

    Raises:
        GptexpError: a step that the parent doesn't have, one to stop at that isn't behind it, or a value that doesn't
            fit.
    """
    named = parent.member.get("scale")
    request = ForkRequest(
        study=Study(
            name=f"{FORKS}{parent.run_id}",
            question=f"What happens to run {parent.run_id} from a step on, if something is changed there?",
            hypothesis="",
            source="",
            arms=(
                Arm(PARENT_ARM, f"parent: {parent.member.get('label', parent.run_id)}"),
                *(Arm(f"at-{step}", f"fork at step {step:,}") for step in sorted(changes)),
            ),
            first_seed=parent.config.seed,
        ),
        scale=find_scale(named if named in SCALES else "quick"),
        seeds=1,
        overrides=dict(next(iter(changes.values())) if shared is None else shared),
        corpus=corpus,
        parent=parent.run_id,
    )
    origin = ResolvedRun(parent.run_id, parent.config, dict(parent.content))
    arms = {arm.name: arm for arm in request.study.arms}
    seed, status = parent.config.seed, ("reached", "recorded", parent.last_step)
    planned = [PlannedRun(request, arms[PARENT_ARM], seed, origin, parent.run_dir, *status, is_parent=True)]
    for step in sorted(changes):
        stop = (until or {}).get(step)
        if stop is not None and stop <= step:
            raise GptexpError(
                f"--until-step {stop:,} is not behind step {step:,}, where a fork begins; name a later one"
            )
        run = resolve_fork(parent, step, changes[step], corpus)
        run_dir = RunDir(runs_dir / run.run_id)
        status = find_status(run_dir, run.config.max_steps, stop, find_start(parent.run_dir, step))
        planned.append(PlannedRun(request, arms[f"at-{step}"], seed, run, run_dir, *status, until_step=stop))
    return planned


def resolve_fork(parent: Parent, step: int, changes: Mapping[str, Any], corpus: str | None) -> ResolvedRun:
    """The fork of a parent at a step, ready to be trained.

    Raises:
        GptexpError: the parent has no such step, nothing is left to train, or a value doesn't fit.
    """
    if not 1 <= step <= parent.last_step:
        raise GptexpError(
            f"--at-step {step}: run {parent.run_id} has the steps 1 to {parent.last_step:,}; choose one of them"
        )
    config = _open_phases(parent.config, changes).override(changes)
    if config.max_steps <= step:
        raise GptexpError(
            f"a fork at step {step:,} has nothing left to train: its max_steps is {config.max_steps:,}; choose an "
            f"earlier step, or a larger max_steps with --set"
        )
    _check_outlier(parent, step, config)
    name = corpus or str(parent.content["corpus"]["name"])
    tokens = read_run_tokens(name, parent.content)
    if tokens.corpus.checksum != parent.content["corpus"]["checksum"]:
        raise GptexpError(
            f"corpus {name!r} is not the text that run {parent.run_id} was trained on; name that one with --corpus"
        )
    if config.init_from is not None and not find_start(parent.run_dir, step):
        raise GptexpError(
            f"run {parent.run_id} began with the weights {config.init_from}, and keeps no checkpoint at or before step "
            f"{step:,} to go on from; fork it at a later step"
        )
    run = resolve_run(config, name, vocabulary=tokens.tokenizer.vocabulary if config.init_from else None)
    here, there = run.content["config"], parent.config.model_dump(mode="json")
    changed = {field: there[field] for field, value in here.items() if there[field] != value}
    origin = Origin(parent.run_id, step, changed)
    run_id = origin.name_run(run.run_id)
    return replace(run, run_id=run_id, content={**run.content, "run_id": run_id, FORK: origin.to_json()})


def _check_outlier(parent: Parent, step: int, config: RunConfig) -> None:
    """Raises:
    GptexpError: the steps up to the fork would have other batches than the parent's.
    """
    theirs, ours = parent.config.outlier_step, config.outlier_step
    if theirs == ours or all(place is None or place > step for place in (theirs, ours)):
        return
    told = ["no outlier batch" if place is None else f"an outlier batch at step {place:,}" for place in (theirs, ours)]
    share = "None" if theirs is None or theirs > config.max_steps else f"{theirs / config.max_steps:.9g}"
    raise GptexpError(
        f"run {parent.run_id} has {told[0]}, and a fork at step {step:,} would have {told[1]}, though they share the "
        f"steps up to there; --set outlier_at={share} leaves it as it is"
    )


def _open_phases(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """The parent's config; what its schedule doesn't read is left open for one that does."""
    if "schedule" not in changes:
        return config
    needs = list_needs(config.schedule)
    phases = ("warmup_steps", "min_lr", "decay_steps")
    # A constant rate has no warmup: one that begins now would be over.
    start = {"warmup_steps": 0, "min_lr": None, "decay_steps": None}
    return config.model_copy(update={name: start[name] for name in phases if name not in needs})
