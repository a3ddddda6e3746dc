"""Requests to run a study: at which scale, with how many seeds, with what changed, and which of its arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptexp.errors import GptexpError, did_you_mean
from gptexp.studies.locate import flatten_name
from gptexp.studies.scales import Scale, find_scale
from gptexp.studies.study import SEEDS_END, Arm, Study, find_study_file, load_study
from gptexp.text import clean_value, spell_name
from gptexp.version import DECIDE_NOTHING

if TYPE_CHECKING:
    # gptexp.config imports pydantic, which would make `gptexp studies` slow.
    from gptexp.config import RunConfig


@dataclass(frozen=True)
class StudyRequest:
    """A request to run a study at a scale, with overrides."""

    study: Study
    scale: Scale
    seeds: int
    overrides: Mapping[str, Any] = field(default_factory=dict)
    corpus: str | None = None
    """The corpus named in the request; None if none was named."""
    file: Path | None = None
    """The study's file; None if the study has none."""
    detect: float | None = None
    """Of a study whose seeds are added until it is decided: a smaller difference is none, in nats per token."""
    only: tuple[str, ...] = ()
    """The names of the arms to train; empty for all of them. The study stays what it is: all its arms define it."""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms to train, in the study's order."""
        return tuple(arm for arm in self.study.arms if not self.only or arm.name in self.only)

    @property
    def deciding(self) -> dict[str, Any]:
        """The overrides that change a number."""
        return {name: value for name, value in self.overrides.items() if name not in DECIDE_NOTHING}

    @cached_property
    def variant(self) -> dict[str, Any]:
        """How this request differs from the study file: overrides that affect the numbers, and the corpus if named.

        In the form of the records, where a file name that is not UTF-8 is escaped.
        """
        named = {} if self.corpus is None else {"corpus": spell_name(self.corpus)}
        overrides = self.deciding
        if isinstance(folder := overrides.get("init_from"), str):
            from gptexp.studies.initial import read_initial

            overrides["init_from"] = read_initial(folder).name
        return clean_value({**overrides, **named})  # type: ignore[no-any-return]

    def corpus_of(self, arm: Arm) -> str | None:
        """Name or path of an arm's corpus: from the request, else from the arm's settings; None if neither has one."""
        named = self.study.merge(arm, self.scale).get("corpus") if self.corpus is None else self.corpus
        return None if named is None else str(named)

    @cached_property
    def configs(self) -> dict[str, RunConfig]:
        """Arm -> its config at its first seed: the arm's own one, else the study's.

        Raises:
            GptexpError: an unknown field or a value that doesn't fit.
        """
        study = self.study
        seeds = {
            arm.name: {**study.merge(arm, self.scale), **self.overrides}.get("seed", study.first_seed)
            for arm in study.arms
        }
        return {arm.name: study.config(arm, self.scale, seeds[arm.name], self.overrides) for arm in study.arms}

    @cached_property
    def definition(self) -> str:
        """A hash of what the study's arms are; an override that decides nothing leaves it as it is."""
        # Such fields were hashed from the first records on: they still are, as the study and its scale have them.
        asked = DECIDE_NOTHING & self.overrides.keys()
        written = {arm.name: self.study.merge(arm, self.scale) for arm in self.study.arms} if asked else {}
        configs = {}
        for arm, config in self.configs.items():
            defaults = {name: type(config).model_fields[name].default for name in asked}
            configs[arm] = config.model_copy(update={name: written[arm].get(name, defaults[name]) for name in asked})
        return self.study.definition(self.scale, configs)

    def seed_values(self, arm: Arm) -> list[int]:
        """An arm's seeds, one after the other from its first one.

        Raises:
            GptexpError: the last one is too large.
        """
        first = self.configs[arm.name].seed
        if (last := first + self.seeds - 1) >= SEEDS_END:
            place = f"study {self.study.name!r}, arm {arm.name!r}"
            raise GptexpError(f"{place}: the last of its {self.seeds} seeds is {last}, expected one below 2**64")
        return [first + k for k in range(self.seeds)]

    def config(self, arm: Arm, seed: int) -> RunConfig:
        """The config of an arm at one of its seeds."""
        return self.configs[arm.name].model_copy(update={"seed": seed})


def make_requests(
    studies: Sequence[str],
    scale: str | None,
    seeds: int | None,
    overrides: Mapping[str, Any],
    corpus: str | None,
    arms: Sequence[str] = (),
) -> list[StudyRequest]:
    """One request for each study that is named, whichever way its name is spelled.

    Args:
        scale: None takes the one that this machine can carry.
        seeds: None takes those of each study.
        overrides: config fields for all arms; `corpus` may be one of them.
        corpus: None takes that of the overrides, else that of each study.
        arms: names or labels of the arms to train; empty for all.

    Raises:
        GptexpError: an unknown study, scale or arm, two corpora, or a seed among the overrides.
    """
    overrides = dict(overrides)
    corpus = take_corpus(overrides, corpus)
    if "seed" in overrides:
        raise GptexpError(
            "seed=... has no place among the overrides of a study: its seeds begin where its file says, so that its "
            "runs can be shared; use --seeds N (seeds=N in Python) for more of them, or gptexp train seed=... for a "
            "single run"
        )
    chosen = choose_scale(scale)
    files = {find_study_file(name): name for name in studies}
    loaded = {file: load_study(name) for file, name in files.items()}
    only = choose_arms(list(loaded.values()), arms)
    return [
        StudyRequest(study, chosen, seeds or study.seeds, overrides, corpus, file, only=only.get(study.name, ()))
        for file, study in loaded.items()
    ]


def choose_arms(studies: Sequence[Study], asked: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Study -> the names of its arms among those that are asked for, by name or by label; empty if none is asked for.

    Dashes and underscores in names count as equal.

    Raises:
        GptexpError: no study has such an arm, or a study has none of them.
    """
    if not asked:
        return {}
    arms = [arm for study in studies for arm in study.arms]
    for text in asked:
        if not any(_is_called(arm, text) for arm in arms):
            of = " or ".join(study.name for study in studies)
            raise GptexpError(f"there is no arm {text!r} in {of}{did_you_mean(text, [arm.name for arm in arms])}")
    found = {
        study.name: tuple(arm.name for arm in study.arms if any(_is_called(arm, text) for text in asked))
        for study in studies
    }
    if without := [study for study, names in found.items() if not names]:
        raise GptexpError(f"study {without[0]} has none of the arms that --arm names; leave the study out")
    return found


def _is_called(arm: Arm, text: str) -> bool:
    return text == arm.label or flatten_name(text) == flatten_name(arm.name)


def take_corpus(overrides: dict[str, Any], option: str | None) -> str | None:
    """The corpus that `--corpus` or `--set corpus=...` names, taken out of the overrides; None where neither does.

    Raises:
        GptexpError: they name two.
    """
    named = overrides.pop("corpus", option)
    if option is not None and named != option:
        raise GptexpError(f"--corpus names {option!r} and --set corpus names {named!r}; leave one of them out")
    return None if named is None else str(named)


def choose_scale(name: str | None) -> Scale:
    """The scale that was named, or the one that this machine can carry."""
    if name is not None:
        return find_scale(name)
    import torch

    return find_scale("lesson" if torch.cuda.is_available() else "quick")
