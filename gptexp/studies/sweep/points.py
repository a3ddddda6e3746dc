"""The study that a sweep's runs belong to: an arm for each point, be its trials handed out by gptexp or by W&B."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptexp.studies.request import StudyRequest
from gptexp.studies.scales import Scale
from gptexp.studies.study import Arm, Study
from gptexp.studies.sweep.space import write_value
from gptexp.version import DECIDE_NOTHING

if TYPE_CHECKING:
    from gptexp.config import RunConfig

PREFIX = "sweep/"
"""The names of sweeps' studies begin so."""


@dataclass(frozen=True)
class SweepStudy(Study):
    """A study whose only arm is one trial. In the records all trials of a sweep belong to the same study."""

    sweep_key: str = ""

    def definition(self, scale: Scale, configs: Mapping[str, RunConfig]) -> str:
        """The same for every trial, so that a new one doesn't replace the earlier ones."""
        return self.sweep_key


def make_trial_study(
    name: str, key: str, question: str, told: Mapping[str, Any], given: Mapping[str, Any], seed: int
) -> SweepStudy:
    """The study of one trial.

    Args:
        name: of the sweep.
        key: the same for all trials of a sweep, and for those of no other.
        told: the settings that the point is called by. Trials that differ only in the seed belong to the same arm.
        given: all its settings but the seed.
    """
    told = {name: value for name, value in told.items() if name != "seed"}
    arm = Arm(write_settings(told, ",") or "trial", write_settings(told, ", ") or "the only trial", given)
    return SweepStudy(
        name=f"{PREFIX}{name}",
        question=question,
        hypothesis="",
        source="",
        arms=(arm,),
        first_seed=seed,
        sweep_key=key,
    )


def request_agent_trial(
    sweep_id: str, overrides: Mapping[str, Any], seed: int, scale: Scale, corpus: str | None
) -> StudyRequest:
    """The request for the run of a trial that an agent of a W&B sweep hands out.

    A trial doesn't know which of its settings are searched, so its point is called by all of them; `shorten_points`
    leaves out what all points share, as soon as there are several.
    """
    told = {name: value for name, value in overrides.items() if name not in DECIDE_NOTHING}
    question = f"Which settings of the W&B sweep {sweep_id} end lowest?"
    return StudyRequest(make_trial_study(sweep_id, sweep_id, question, told, overrides, seed), scale, 1, {}, corpus)


def write_settings(settings: Mapping[str, Any], between: str) -> str:
    """Settings as text: `lr=0.001, schedule=constant`."""
    return between.join(f"{name}={write_value(value)}" for name, value in settings.items())


def shorten_points(labels: Sequence[str]) -> list[str]:
    """The labels of a sweep's points without the settings that all of them share; a single one stays as it is."""
    parts = [re.split(r", (?=\w+=)", label) for label in labels]
    shared = set.intersection(*map(set, parts)) if len(set(labels)) > 1 else set()
    return [
        ", ".join(part for part in own if part not in shared) or label for own, label in zip(parts, labels, strict=True)
    ]
