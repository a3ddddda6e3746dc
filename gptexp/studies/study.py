"""Named studies: a question, the arms that answer it, and requests to run them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptexp.errors import GptexpError, did_you_mean, shorten
from gptexp.studies.checks import MOST_SEEDS, check_count, check_settings, check_text
from gptexp.studies.locate import find_files, flatten_name, load_object
from gptexp.studies.prediction import Prediction, check_predictions
from gptexp.studies.scales import SCALES, Scale

if TYPE_CHECKING:
    # gptexp.config imports pydantic, which would make `gptexp studies` slow.
    from gptexp.config import RunConfig

FIRST_SEED = 1337
"""Of a study that names none."""
SEEDS_END = 2**64
"""No seed is this large."""


@dataclass(frozen=True)
class Arm:
    """One configuration of a study, replicated over seeds."""

    name: str
    """A short, stable name, used in records, tables and W&B."""
    label: str
    """The text shown to people, for example in legends."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Config fields that define this arm. `corpus` sets its training text, and `seed` its first seed; arms with
    different first seeds are not paired."""

    def __post_init__(self) -> None:
        for name in ("name", "label"):
            text = check_text(f"arm {self.name!r}: {name}", getattr(self, name), is_name=True)
            object.__setattr__(self, name, text)
        object.__setattr__(self, "settings", check_settings(f"arm {self.name!r}: settings", self.settings))


@dataclass(frozen=True)
class Study:
    """A question and the arms that answer it. Arms are paired: seed k gives all arms the same initial weights and
    batches."""

    name: str
    question: str
    hypothesis: str
    source: str
    """The place in the lesson, or the paper, that the study examines."""
    arms: tuple[Arm, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Config fields that all arms share."""
    scale_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Scale -> config fields that replace the scale's own for this study."""
    seeds: int = 1
    """Number of seeds per arm, unless the request names another."""
    first_seed: int = FIRST_SEED
    predictions: tuple[Prediction, ...] = ()
    """The checkable sentences of the hypothesis. They are entered in the records before the first run."""

    def __post_init__(self) -> None:
        for name in ("name", "question", "hypothesis", "source"):
            text = check_text(f"study {self.name!r}: {name}", getattr(self, name), is_name=name == "name")
            object.__setattr__(self, name, text)
        place = f"study {self.name!r}"
        object.__setattr__(self, "arms", self._check_arms())
        object.__setattr__(self, "settings", check_settings(f"{place}: settings", self.settings))
        if not isinstance(self.scale_settings, Mapping):
            raise GptexpError(f"{place}: scale_settings={self.scale_settings!r}: expected scales with their settings")
        if unknown := {str(scale) for scale in self.scale_settings} - set(SCALES):
            raise GptexpError(f"{place} sets up unknown scales {sorted(unknown)}; known: {', '.join(SCALES)}")
        for scale, settings in self.scale_settings.items():
            check_settings(f"{place}: scale_settings of {scale}", settings)
        check_predictions(place, self.predictions, [arm.name for arm in self.arms])
        check_count(f"{place}: seeds", self.seeds, least=1, most=MOST_SEEDS)
        check_count(f"{place}: first_seed", self.first_seed, least=0, most=SEEDS_END - 1)
        if self.first_seed != FIRST_SEED and "seed" in self.settings:
            raise GptexpError(
                f"{place} names its first seed twice, first_seed={self.first_seed} and seed={self.settings['seed']!r} "
                f"in its settings; leave one of them out"
            )

    def _check_arms(self) -> tuple[Arm, ...]:
        arms = self.arms
        if not isinstance(arms, list | tuple) or not all(isinstance(arm, Arm) for arm in arms):
            raise GptexpError(f"study {self.name!r}: arms={shorten(arms)}: expected a tuple of Arm(...), with commas")
        names = [arm.name for arm in arms]
        if not names or len(set(names)) != len(names):
            raise GptexpError(f"study {self.name!r} needs arms with distinct names, found {names}")
        seen: dict[str, str] = {}
        for arm in arms:
            twin = seen.setdefault(" ".join(arm.label.split()), arm.name)
            if twin != arm.name:
                raise GptexpError(
                    f"study {self.name!r}: the arms {twin!r} and {arm.name!r} are both labelled {shorten(arm.label)}; "
                    f"tables and figures call arms by their labels, so give each its own"
                )
        return tuple(arms)

    def merge(self, arm: Arm, scale: Scale) -> dict[str, Any]:
        """The settings of one arm. Later ones win: scale, study, the study's own for the scale, arm."""
        return {**scale.settings, **self.settings, **self.scale_settings.get(scale.name, {}), **arm.settings}

    def settle(self, arm: Arm, scale: Scale, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of `merge`, then `overrides`. Where they name weights to start from, the shape of these replaces
        that of the scale (`gptexp.studies.initial`).

        Raises:
            GptexpError: the weights can't be read, or don't fit.
        """
        merged = {**self.merge(arm, scale), **overrides}
        if merged.get("init_from") is None:
            return merged
        from gptexp.studies.initial import settle_fields

        return settle_fields(merged, self.settings.keys() | arm.settings.keys() | overrides.keys())

    def config(self, arm: Arm, scale: Scale, seed: int, overrides: Mapping[str, Any]) -> RunConfig:
        """The config of one run: what `settle` gives, then the seed.

        Raises:
            GptexpError: a field is unknown, or a value is invalid.
        """
        from gptexp.config import build_config

        try:
            return build_config({**self.settle(arm, scale, overrides), "seed": seed})
        except GptexpError as error:
            raise GptexpError(f"study {self.name!r}, arm {arm.name!r}: {error}") from None

    def definition(self, scale: Scale, configs: Mapping[str, RunConfig]) -> str:
        """A hash of what the arms are, seeds aside: a changed study file has another.

        Args:
            configs: by arm, of its first seed.
        """
        from gptexp.identity import drop_later, short_hash

        fields = {name: drop_later(config.model_dump(mode="json")) for name, config in configs.items()}
        # An arm's own seed is part of what it is; the seeds that a study has by itself are not.
        own = {arm.name for arm in self.arms if "seed" in self.merge(arm, scale)}
        return short_hash({name: arm if name in own else {**arm, "seed": 0} for name, arm in fields.items()})


def find_study_file(name: str) -> Path:
    """The file `experiments/NAME.py` of a study; dashes and underscores in names count as equal.

    Raises:
        GptexpError: there is no such study (the message lists similar names), or there are two files of that name.
    """
    files = find_files("experiments")
    found = [stem for stem in files if flatten_name(stem) == flatten_name(name)]
    if not found:
        known = [stem.replace("_", "-") for stem in files]
        raise GptexpError(f"there is no study {name!r}{did_you_mean(name, known)}")
    if len(found) > 1:
        paths = " and ".join(str(files[stem]) for stem in found)
        raise GptexpError(f"{paths} are two files of the study {name!r}; rename or remove one of them")
    return files[found[0]]


def load_study(name: str) -> Study:
    """Execute a study's file and return its study.

    Raises:
        GptexpError: there is no such study, or the file doesn't define one.
    """
    path = find_study_file(name)
    study = load_object(path, "STUDY")
    if not isinstance(study, Study):
        raise GptexpError(f"{path} binds STUDY to a {type(study).__name__}, expected a gptexp Study")
    if flatten_name(study.name) != flatten_name(name):
        expected = name.replace("_", "-")
        raise GptexpError(f"{path} names its study {study.name!r}; a study has the name of its file: {expected!r}")
    return study
