"""Finds, before training, arms of a study that are the same run and settings that have no effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from gptexp.errors import GptexpError, shorten
from gptexp.identity import identity_hash
from gptexp.studies.request import StudyRequest
from gptexp.studies.resolve import ResolvedRun
from gptexp.studies.study import Arm
from gptexp.version import ENGINE_VERSION

OPEN = (None, "auto")
"""Values that leave a field to the engine."""
WATCHING = (
    *("eval_interval", "eval_steps", "sample_interval", "sample_losses", "sample_prompt", "sample_tokens"),
    *("step_metrics", "metrics_interval"),
)
"""Fields that decide what is recorded of a training, and nothing of the training itself."""


def check_overrides(request: StudyRequest) -> None:
    """Refuse overrides (including the corpus) that remove the difference between two arms.

    Raises:
        GptexpError: two arms that differ in the study file would be the same.
    """
    seen: dict[tuple[Any, ...], Arm] = {}
    for arm in request.study.arms:
        asked = _read_fields(request, arm)
        key = tuple(asked.items())
        twin = seen.setdefault(key, arm)
        if twin is arm:
            continue
        here, there = _read_written(request, arm), _read_written(request, twin)
        lost = [name for name in sorted(request.variant) if here[name] != there[name]]
        if lost:
            raise GptexpError(
                f"setting {', '.join(lost)} would make the arms {twin.name!r} and {arm.name!r} of study "
                f"{request.study.name!r} the same, and that is what they differ in; leave it out, or make a single run "
                f"with gptexp train"
            )


def check_twins(request: StudyRequest, runs: Iterable[tuple[Arm, ResolvedRun]]) -> None:
    """Refuse a study in which two arms resolve to the same run, because their difference would always be zero.

    Two values of `outlier_at` that mean the same step count as the same run too, although their run ids differ.

    Raises:
        GptexpError: the message names the fields in which the arms differ, and why that has no effect.
    """
    seen: dict[str, Arm] = {}
    for arm, run in runs:
        twin = seen.setdefault(_identify(run, {"outlier_at": run.config.outlier_step}), arm)
        if twin is not arm:
            first, second = (one for one in request.study.arms if one in (arm, twin))
            raise GptexpError(
                f"the arms {first.name!r} and {second.name!r} of study {request.study.name!r} are the same run "
                f"({run.run_id}, seed {run.config.seed}): {_explain(request, first, second, run)}; "
                f"give one of them a setting that makes it another run, or leave it out"
            )


def note_idle(request: StudyRequest, runs: Iterable[tuple[Arm, ResolvedRun]]) -> list[str]:
    """A sentence for every setting without effect, because the run replaces its value by another one.

    Settings of an arm are checked for that arm. Shared settings (of the study or from the command line) are reported
    only if they have no effect in any arm.
    """
    own: dict[str, None] = {}
    shared: list[dict[str, str]] = []
    for arm, run in {arm.name: (arm, run) for arm, run in runs}.values():
        asked = {**request.study.merge(arm, request.scale), **request.variant}
        fields, taken = _read_fields(request, arm), _read_taken(run)
        named = [name for name in asked if name not in ("corpus", "seed") and fields[name] not in OPEN]
        idle = {
            name: f"{name}={shorten(fields[name])} decides nothing, {_say_why(name, taken)}"
            for name in named
            if fields[name] != taken[name]
        }
        is_own = arm.settings.keys() - request.variant.keys()
        own.update(dict.fromkeys(f"arm {arm.name!r}: {idle[name]}" for name in idle if name in is_own))
        shared.append({name: text for name, text in idle.items() if name not in is_own})
    everywhere = set.intersection(*(set(idle) for idle in shared)) if shared else set()
    return [*(text for name, text in shared[0].items() if name in everywhere), *own]


def note_alike(request: StudyRequest, runs: Iterable[tuple[Arm, ResolvedRun]]) -> list[str]:
    """A sentence for arms that train identically and only record different things: comparing them is pointless."""
    groups: dict[str, dict[str, Arm]] = {}
    for arm, run in runs:
        # If the last evaluation uses the subset, eval_steps changes the final val loss, so it is not ignored.
        watching = [name for name in WATCHING if name != "eval_steps" or run.config.final_eval == "whole"]
        groups.setdefault(_identify(run, dict.fromkeys(watching)), {})[arm.name] = arm
    alike = {tuple(arms): list(arms.values()) for arms in groups.values() if len(arms) > 1}
    notes = []
    for arms in alike.values():
        asked = [_read_fields(request, arm) for arm in arms]
        differing = [name for name in WATCHING if any(fields[name] != asked[0][name] for fields in asked)]
        names = ", ".join(repr(arm.name) for arm in arms)
        notes.append(
            f"the arms {names} train alike and end at the same loss: they differ in {', '.join(differing)}, which "
            f"decides only what is recorded"
        )
    return notes


def _identify(run: ResolvedRun, changes: Mapping[str, Any]) -> str:
    """The identity hash of a run with some fields replaced by `changes`."""
    fields = {**run.content["config"], **changes}
    return identity_hash(
        fields, ENGINE_VERSION, run.content["corpus"]["checksum"], run.content["tokenizer"]["checksum"]
    )


def _read_fields(request: StudyRequest, arm: Arm) -> dict[str, Any]:
    """What an arm asks for, field by field: validated, but nothing left open is settled."""
    asked = {**request.study.merge(arm, request.scale), **request.variant}
    return {**request.configs[arm.name].model_dump(), "corpus": asked.get("corpus")}


def _read_written(request: StudyRequest, arm: Arm) -> dict[str, Any]:
    """The same as the study is written, without what was asked for otherwise."""
    return _read_fields(replace(request, overrides={}, corpus=None), arm)


def _explain(request: StudyRequest, first: Arm, second: Arm, run: ResolvedRun) -> str:
    here, there = (_read_fields(request, arm) for arm in (first, second))
    differing = [name for name in here if here[name] != there[name]]
    if not differing:
        return "their settings are the same"
    taken = _read_taken(run)
    parts = [
        f"{name} ({shorten(here[name])} and {shorten(there[name])}, {_say_why(name, taken)})" for name in differing
    ]
    return f"they were meant to differ in {', '.join(parts)}"


def _read_taken(run: ResolvedRun) -> dict[str, Any]:
    return {**run.config.model_dump(), "corpus": run.content["corpus"]["name"]}


def _say_why(name: str, taken: Mapping[str, Any]) -> str:
    """A clause that says why two values of a field give the same run."""
    if name == "checkpoint_interval":
        return "which decides no number"
    if name == "outlier_at":
        return f"the same step of max_steps={taken['max_steps']}"
    if name == "corpus":
        return f"the same text, {taken['corpus']}"
    if name == "seed":
        return "and with that many seeds each they meet"
    if name in ("warmup_steps", "min_lr", "decay_steps"):
        return f"since schedule={taken['schedule']} has {shorten(taken[name])} there"
    return f"since it comes to {shorten(taken[name])} here"
