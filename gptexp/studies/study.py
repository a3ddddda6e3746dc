"""Named studies: a question, the arms that answer it, and how they were asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptexp.errors import GptexpError, did_you_mean
from gptexp.studies.locate import find_files, load_object
from gptexp.studies.scales import SCALES, Scale

if TYPE_CHECKING:
    # Configs are validated with pydantic, which takes longer to import than `gptexp studies` may take to answer.
    from gptexp.config import RunConfig


@dataclass(frozen=True)
class Arm:
    """One configuration of a study, replicated over seeds."""

    name: str
    """Short and stable: it names the arm in records, tables and W&B."""
    label: str
    """For people: what a legend says."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Config fields that make this arm what it is."""


@dataclass(frozen=True)
class Study:
    """A question and the arms that answer it. Arms are paired: seed k gives each the same weights and batches."""

    name: str
    question: str
    hypothesis: str
    source: str
    """Where the lesson says it."""
    arms: tuple[Arm, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Config fields that all arms share."""
    scale_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Per scale, what this study needs otherwise than the scale has it."""
    seeds: int = 1
    """Seeds per arm unless asked otherwise."""
    first_seed: int = 1337

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if not names or len(set(names)) != len(names):
            raise GptexpError(f"study {self.name!r} needs arms with distinct names, found {names}")
        if unknown := set(self.scale_settings) - set(SCALES):
            raise GptexpError(
                f"study {self.name!r} sets up unknown scales {sorted(unknown)}; known: {', '.join(SCALES)}"
            )

    def config(self, arm: Arm, scale: Scale, seed: int, overrides: Mapping[str, Any]) -> RunConfig:
        """The config of one run: scale, then study, then arm, then `overrides`, then the seed.

        Raises:
            GptexpError: an unknown field or a value that doesn't fit.
        """
        from gptexp.config import build_config

        settings = {**scale.settings, **self.settings, **self.scale_settings.get(scale.name, {}), **arm.settings}
        try:
            return build_config({**settings, **overrides, "seed": seed})
        except GptexpError as error:
            raise GptexpError(f"study {self.name!r}, arm {arm.name!r}: {error}") from None

    def check_overrides(self, scale: Scale, overrides: Mapping[str, Any]) -> None:
        """Refuse overrides that take away what sets arms apart.

        Raises:
            GptexpError: two arms that differ as the study is written would be the same.
        """
        from gptexp.config import canonical_json

        seen: dict[str, Arm] = {}
        for arm in self.arms:
            key = canonical_json(self.config(arm, scale, 0, overrides).model_dump(mode="json"))
            twin = seen.setdefault(key, arm)
            if twin is not arm and self.config(arm, scale, 0, {}) != self.config(twin, scale, 0, {}):
                fields = ", ".join(sorted(overrides.keys() & {*arm.settings, *twin.settings}))
                raise GptexpError(
                    f"setting {fields} would make the arms {twin.name!r} and {arm.name!r} of study {self.name!r} the "
                    f"same, and that is what they differ in; leave it out, or make a single run with gptexp train"
                )

    def definition(self, scale: Scale, overrides: Mapping[str, Any]) -> str:
        """A hash of what the arms are, seeds aside: a changed study file has another."""
        from gptexp.config import short_hash

        arms = {arm.name: self.config(arm, scale, 0, overrides).model_dump(mode="json") for arm in self.arms}
        return short_hash(arms)


@dataclass(frozen=True)
class StudyRequest:
    """What somebody asked to run: a study at a scale, with overrides."""

    study: Study
    scale: Scale
    seeds: int
    overrides: Mapping[str, Any] = field(default_factory=dict)
    corpus: str | None = None
    """The corpus that was named, or None where nobody named one."""
    file: Path | None = None
    """The study's file; None where there is none."""

    @property
    def variant(self) -> dict[str, Any]:
        """What sets this request apart from the study as written."""
        named = {} if self.corpus is None else {"corpus": self.corpus}
        return {**dict(self.overrides), **named}

    def seed_values(self) -> list[int]:
        """The seeds, one after the other from the study's first."""
        return [self.study.first_seed + k for k in range(self.seeds)]


def find_study_file(name: str) -> Path:
    """The file `experiments/NAME.py` of a study; dashes in the name are underscores in the file's.

    Raises:
        GptexpError: no such study; near names are listed.
    """
    files = find_files("experiments")
    path = files.get(name.replace("-", "_")) or files.get(name)
    if path is None:
        known = [stem.replace("_", "-") for stem in files]
        raise GptexpError(f"there is no study {name!r}{did_you_mean(name, known)}")
    return path


def load_study(name: str) -> Study:
    """The study that its file declares.

    Raises:
        GptexpError: no such study, or the file doesn't define one.
    """
    path = find_study_file(name)
    study = load_object(path, "STUDY")
    if not isinstance(study, Study):
        raise GptexpError(f"{path} binds STUDY to a {type(study).__name__}, expected a gptexp Study")
    if study.name.replace("-", "_") != path.stem:
        expected = path.stem.replace("_", "-")
        raise GptexpError(f"{path} names its study {study.name!r}; a study has the name of its file: {expected!r}")
    return study
