"""One sweep as it was asked for, and what each of its trials is: an ordinary run."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gptexp import ENGINE_VERSION
from gptexp.config import RunConfig, build_config, short_hash
from gptexp.errors import GptexpError
from gptexp.studies.resolve import resolve_run
from gptexp.studies.scales import Scale, find_scale
from gptexp.studies.study import Arm, Study, StudyRequest
from gptexp.studies.sweep.file import SweepFile
from gptexp.studies.sweep.space import list_points, write_value

FIRST_SEED = 1337
"""Of a trial whose sweep names no seed: the one that `gptexp train` takes."""
CHECKED_POINTS = 2000
"""Points of a grid that are validated before anything is trained."""


@dataclass(frozen=True)
class SweepStudy(Study):
    """A study with one arm, a trial of a sweep; the trials of a sweep are one study to the records."""

    sweep_key: str = ""

    def definition(self, scale: Scale, overrides: Mapping[str, Any]) -> str:
        """The same for every trial, so that a new one doesn't replace the earlier ones."""
        return self.sweep_key


@dataclass(frozen=True)
class Sweep:
    """A sweep file, with what the command line adds. Plain data: it crosses process boundaries."""

    file: SweepFile
    scale: str
    """Of the trials whose parameters name none."""
    corpus: str | None
    """What to load the corpus by; None where nobody named one."""
    runs_dir: str
    n_trials: int
    """Trials in all, whoever carries them out; never more than there are points."""
    corpus_checksum: str = ""
    """Of the text that the corpus turned out to be on this machine: trials on another text are another sweep."""

    @property
    def folder(self) -> Path:
        """Where the state of the search lies."""
        return Path(self.runs_dir) / "sweeps" / self.file.name

    @property
    def key(self) -> str:
        """A hash of all that decides which trials there are: an edited file is another sweep."""
        about = {"scale": self.scale, "corpus": self.corpus_checksum, "engine_version": ENGINE_VERSION}
        return short_hash({**self.file.definition(), **about})

    def points(self) -> list[dict[str, Any]] | None:
        """Every draw that there is, in the order in which places take them; None where there is no end of them.

        A random search goes through the shuffled list, so it tries nothing twice.
        """
        points = list_points(self.file.parameters)
        if points is not None and self.file.method == "random":
            random.Random(self.key).shuffle(points)
        return points

    def to_settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The searched config values that a draw stands for."""
        return {parameter.name: parameter.to_value(drawn[parameter.name]) for parameter in self.file.parameters}

    def request(self, settings: Mapping[str, Any]) -> StudyRequest:
        """The run of a trial, as its study asks for it.

        Raises:
            GptexpError: an unknown scale.
        """
        given = {**self.file.settings, **settings}
        scale, seed = find_scale(str(given.pop("scale", self.scale))), given.pop("seed", FIRST_SEED)
        corpus = given.pop("corpus", self.corpus)
        # Seeds of one config are one arm.
        told = {name: value for name, value in settings.items() if name != "seed"}
        study = SweepStudy(
            name=f"sweep/{self.file.name}",
            question=self.file.description or f"Which {self.describe_search()} gives the best {self.file.metric.name}?",
            hypothesis="",
            source="",
            arms=(Arm(write_settings(told, ",") or "trial", write_settings(told, ", ") or "the only trial", given),),
            first_seed=seed,
            sweep_key=self.key,
        )
        return StudyRequest(study, scale, 1, {}, corpus)

    def example(self) -> dict[str, Any]:
        """The settings of some trial that fits a run.

        Raises:
            GptexpError: none of those tried do.
        """
        found = GptexpError("the sweep has no trial")
        names = [parameter.name for parameter in self.file.parameters]
        for values in itertools.islice(itertools.product(*(p.ends() for p in self.file.parameters)), CHECKED_POINTS):
            settings = dict(zip(names, values, strict=True))
            try:
                self.config(settings)
            except GptexpError as error:
                found = error
                continue
            return settings
        raise found

    def config(self, settings: Mapping[str, Any]) -> RunConfig:
        """The config of a trial.

        Raises:
            GptexpError: values that don't fit.
        """
        request = self.request(settings)
        arm = request.study.arms[0]
        return build_config({**request.scale.settings, **arm.settings, "seed": request.study.first_seed})

    def command(self, settings: Mapping[str, Any]) -> list[str]:
        """The words that repeat a trial: `gptexp train ...`."""
        request = self.request(settings)
        given = {**request.study.arms[0].settings, "seed": request.study.first_seed}
        corpus = ["--corpus", request.corpus] if request.corpus else []
        words = [f"{name}={write_value(value)}" for name, value in given.items()]
        return ["gptexp", "train", "--scale", request.scale.name, *corpus, *words]

    def describe_search(self) -> str:
        """`lr × schedule`."""
        return " × ".join(parameter.name for parameter in self.file.parameters) or "config"


def plan_sweep(
    file: SweepFile, scale: str | None, corpus: str | None, runs_dir: Path, trials: int | None, default_scale: str
) -> Sweep:
    """Join file and command line; what is named on the command line counts.

    Args:
        trials: as asked for; None takes the file's run_cap, else all points.
        default_scale: where nobody names one.

    Raises:
        GptexpError: an endless space without a number of trials, a scale that is named twice, values that no run can
            have, or a corpus that can't be had.
    """
    searched = {parameter.name for parameter in file.parameters}
    for name, given in (("scale", scale), ("corpus", corpus)):
        if given is not None and name in searched:
            raise GptexpError(f"{name} is a parameter of the sweep; leave --{name} out")
    settings = {name: value for name, value in file.settings.items() if name != "corpus"}
    corpus = corpus or file.settings.get("corpus")
    file = replace(file, settings=settings)
    points = list_points(file.parameters)
    limits = [limit for limit in (trials, file.run_cap, None if points is None else len(points)) if limit is not None]
    if not limits:
        raise GptexpError(f"a {file.method} search over ranges has no end; say --trials N, or run_cap in the file")
    if trials is None and file.run_cap is None and file.method != "grid":
        raise GptexpError(f"a {file.method} search needs a number of trials; say --trials N, or run_cap in the file")
    sweep = Sweep(file, scale or file.scale or default_scale, corpus, str(runs_dir), min(limits))
    check_values(sweep)
    run = resolve_run(sweep.config(sweep.example()), sweep.request(sweep.example()).corpus)
    return replace(sweep, corpus_checksum=run.content["corpus"]["checksum"])


def check_values(sweep: Sweep) -> None:
    """Find values that no run can have before anything is trained.

    Raises:
        GptexpError: the value, and what was expected. Of a search that isn't a grid, only single values are checked:
            a pair of values that don't go together fails its trial.
    """
    points = sweep.points()
    if sweep.file.method == "grid" and points is not None:
        for drawn in points[: min(sweep.n_trials, CHECKED_POINTS)]:
            settings = sweep.to_settings(drawn)
            try:
                sweep.config(settings)
            except GptexpError as error:
                raise GptexpError(f"the grid point {write_settings(settings, ', ')} fits no run: {error}") from None
        return
    first = {parameter.name: parameter.ends()[0] for parameter in sweep.file.parameters}
    for name, value in [(p.name, value) for p in sweep.file.parameters for value in p.ends()]:
        try:
            sweep.config({**first, name: value})
        except GptexpError as error:
            if name == "scale" or str(error).startswith(f"{name}={value!r}:"):
                raise


def write_settings(settings: Mapping[str, Any], between: str) -> str:
    """`lr=0.001, schedule=constant`."""
    return between.join(f"{name}={write_value(value)}" for name, value in settings.items())
