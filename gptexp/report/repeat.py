"""The command that makes a run again, spelled out: whatever was typed, and on whatever machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gptexp.config import build_config
from gptexp.names import CORPORA
from gptexp.runs.study_runs import StudyRuns
from gptexp.studies.scales import find_scale
from gptexp.studies.sweep.points import PREFIX
from gptexp.text import quote_words
from gptexp.tracking.origin import FORKS
from gptexp.tracking.places import MARK
from gptexp.tracking.result import STOPPED

SINGLE_RUN = "train"
"""The study that `gptexp train` notes its runs under."""


def write_repeat(study: StudyRuns, run: Mapping[Any, Any]) -> str:
    """`gptexp run lr-ladder --scale char --corpus tinyshakespeare --seeds 3 --set max_steps=400`.

    Study, scale, corpus, seeds and overrides are named even where they were left out: a default may be another one on
    another machine. It asks for the run's whole study; runs that are done already are not made again. A trial of a
    sweep, a fork and its parent are asked for by themselves.
    """
    changes: dict[str, Any] = json.loads(study.variant)
    named = _name_corpus(study, changes.pop("corpus", None))
    seed = int(run["seed"])
    if isinstance(run.get("parent"), str):
        return quote_words([*_fork_again(run, changes), *named])
    by_itself = study.name.startswith((PREFIX, FORKS))
    if by_itself:
        changes = _list_changes(study, run)
    settings = [f"{name}={_write_value(value)}" for name, value in sorted(changes.items())]
    if by_itself or study.name == SINGLE_RUN:
        return quote_words(["gptexp", "train", "--scale", study.scale, *named, *settings, f"seed={seed}"])
    # Seed k of a study is its first one plus k, so that this many of them end with this run's.
    first = min(int(arm.runs["seed"].min()) for arm in study.arms if run["run_id"] in arm.run_ids)
    seeds = ["--seeds", str(seed - first + 1)]
    sets = [part for setting in settings for part in ("--set", setting)]
    return quote_words(["gptexp", "run", study.name, "--scale", study.scale, *named, *seeds, *sets])


def _fork_again(run: Mapping[Any, Any], changes: dict[str, Any]) -> list[str]:
    """The words that fork a parent again, up to the step where this fork was stopped."""
    step, end = int(run["fork_step"]), int(run["max_steps"])
    words = ["gptexp", "fork", str(run["parent"]), "--at-step", str(step)]
    if changes.get("decay_steps") == end - step:
        words += ["--cooldown", str(changes.pop("decay_steps"))]
    for name, value in sorted(changes.items()):
        words += ["--set", f"{name}={_write_value(value)}"]
    return [*words, "--until-step", str(int(run["last_step"]))] if run["outcome"] == STOPPED else words


def _list_changes(study: StudyRuns, run: Mapping[Any, Any]) -> dict[str, Any]:
    """The config fields of a run, the seed aside, that its scale doesn't set so, or leaves open."""
    usual = build_config(find_scale(study.scale).settings).model_dump(mode="json")
    # The vocabulary follows from the tokenizer.
    named = usual.keys() - {"seed", "vocab_size"}
    return {name: run[name] for name in named if run[name] != usual[name]}


def _name_corpus(study: StudyRuns, asked: str | None) -> list[str]:
    """`--corpus` as it was asked for, else the one that all runs had where gptexp knows it by its name.

    A file that a study names by itself is left to the study, and so are arms that have texts of their own.
    """
    if asked is not None:
        return ["--corpus", MARK.sub("", asked)]
    names = sorted({str(name) for name in study.runs["corpus_name"].dropna()})
    return ["--corpus", *names] if len(names) == 1 and names[0] in CORPORA else []


def _write_value(value: Any) -> str:
    return value if isinstance(value, str) else "None" if value is None else json.dumps(value)
