"""A sweep as it was requested. Each of its trials is an ordinary run."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gptexp.config import RunConfig, build_config
from gptexp.errors import GptexpError
from gptexp.identity import short_hash
from gptexp.studies.initial import find_weights
from gptexp.studies.request import StudyRequest
from gptexp.studies.resolve import ResolvedRun, resolve_run
from gptexp.studies.scales import find_scale
from gptexp.studies.sweep.file import SweepFile
from gptexp.studies.sweep.points import make_trial_study, write_settings
from gptexp.studies.sweep.space import Parameter, list_points, write_value
from gptexp.version import ENGINE_VERSION

FIRST_SEED = 1337
"""Seed of a trial if its sweep names none, as in `gptexp train`."""
CHECKED_POINTS = 5000
"""Largest number of points whose configs are validated before training."""
GO_TOGETHER = "search values that all go together (q_uniform with q gives multiples)"
RESOLVED_POINTS = 100
"""Largest number of points that are also resolved (corpus read, run id computed), which takes longer."""
RESOLVED_FIELDS = (
    "corpus",
    "scale",
    "tokenizer",
    "vocab_size",
    "block_size",
    "sample_prompt",
    "device",
    "precision",
    "init_from",
)
"""Fields whose values may be unavailable on this machine, or may not fit the corpus."""


@dataclass(frozen=True)
class Sweep:
    """A sweep file together with the options of the command line. Picklable."""

    file: SweepFile
    scale: str
    """Scale of the trials, unless `scale` is a parameter."""
    corpus: str | None
    """Name or path of the corpus; None if none was named."""
    runs_dir: str
    n_trials: int
    """Number of trials over all processes; at most the number of points."""
    seeds: int = 1
    """Trials in a row that are one point with paired seeds; `seed` is then the last of the searched parameters."""
    corpus_checksum: str = ""
    """Checksum of the corpus's text on this machine. It enters the key, so another text makes another sweep."""

    weights: str = ""
    """Checksum of the weights that the trials start from, which enters the key in the same way; empty for none."""

    @property
    def folder(self) -> Path:
        """The folder with the state of the search."""
        return Path(self.runs_dir) / "sweeps" / self.file.name

    @property
    def key(self) -> str:
        """A hash of everything that determines the trials. An edited file is another sweep."""
        about = {"scale": self.scale, "corpus": self.corpus_checksum, "engine_version": ENGINE_VERSION}
        if self.weights:
            about["weights"] = self.weights
        return short_hash({**self.file.definition(), **about})

    def points(self) -> list[dict[str, Any]] | None:
        """All points of the space in the order of the trials; None if they can't be listed.

        A random search goes through the shuffled list, so it tries no point twice.
        """
        points = list_points(self.file.parameters)
        if points is not None and self.file.method == "random":
            starts = list(range(0, len(points), self.seeds))
            random.Random(self.key).shuffle(starts)
            points = [point for start in starts for point in points[start : start + self.seeds]]
        return points

    def to_settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The config values of the searched parameters for a draw of Optuna."""
        return {parameter.name: parameter.to_value(drawn[parameter.name]) for parameter in self.file.parameters}

    def request(self, settings: Mapping[str, Any]) -> StudyRequest:
        """The study request that gives the run of a trial.

        Raises:
            GptexpError: an unknown scale.
        """
        given = {**self.file.settings, **settings}
        scale, seed = find_scale(str(given.pop("scale", self.scale))), given.pop("seed", FIRST_SEED)
        corpus = given.pop("corpus", self.corpus)
        question = self.file.description or f"Which {self.describe_search()} gives the best {self.file.metric.name}?"
        study = make_trial_study(self.file.name, self.key, question, settings, given, seed)
        return StudyRequest(study, scale, 1, {}, corpus)

    def example(self) -> dict[str, Any]:
        """The settings of some trial that gives a valid config.

        Raises:
            GptexpError: no tried combination gives one.
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
            GptexpError: the values don't give a valid config.
        """
        request = self.request(settings)
        arm = request.study.arms[0]
        return build_config({**request.study.settle(arm, request.scale, {}), "seed": request.study.first_seed})

    def resolve(self, settings: Mapping[str, Any]) -> ResolvedRun:
        """The run of a trial. Raises: as `config` and `resolve_run`."""
        request = self.request(settings)
        weights = find_weights(request, request.study.arms[0])
        return resolve_run(self.config(settings), request.corpus, vocabulary=weights.vocabulary if weights else None)

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
    file: SweepFile,
    scale: str | None,
    corpus: str | None,
    runs_dir: Path,
    trials: int | None,
    default_scale: str,
    seeds: int = 1,
) -> Sweep:
    """Combine a sweep file with the command line, whose options take precedence.

    Args:
        trials: the requested number of trials; None takes the file's run_cap, else all points.
        default_scale: the scale if neither names one.
        seeds: trials of each point, with paired seeds; `trials` and run_cap count all of them.

    Raises:
        GptexpError: an infinite space without a number of trials, an option that is also a parameter of the sweep,
            values that give no valid config, or a corpus that isn't available.
    """
    searched = {parameter.name for parameter in file.parameters}
    for name, given in (("scale", scale), ("corpus", corpus)):
        if given is not None and name in searched:
            raise GptexpError(f"{name} is a parameter of the sweep; leave --{name} out")
    settings = {name: value for name, value in file.settings.items() if name != "corpus"}
    corpus = corpus or file.settings.get("corpus")
    file = replace(file, settings=settings)
    file = add_seeds(file, seeds)
    points = list_points(file.parameters)
    limits = [limit for limit in (trials, file.run_cap, None if points is None else len(points)) if limit is not None]
    if not limits:
        raise GptexpError(f"a {file.method} search over ranges has no end; say --trials N, or run_cap in the file")
    if trials is None and file.run_cap is None and file.method != "grid":
        raise GptexpError(f"a {file.method} search needs a number of trials; say --trials N, or run_cap in the file")
    n_trials = min(limits)
    if n_trials % seeds:
        raise GptexpError(f"{n_trials} trials are no whole number of points with {seeds} seeds each; say --trials N")
    sweep = Sweep(file, scale or file.scale or default_scale, corpus, str(runs_dir), n_trials, seeds)
    check_values(sweep)
    notes = (*file.notes, *note_oddities(sweep), *check_runs(sweep))
    run = sweep.resolve(sweep.example())
    found = {"corpus_checksum": run.content["corpus"]["checksum"], "weights": run.config.init_from or ""}
    return replace(sweep, file=replace(file, notes=notes), **found)


def add_seeds(file: SweepFile, seeds: int) -> SweepFile:
    """The file with so many seeds as its last parameter, from the file's own seed on.

    Raises:
        GptexpError: the file searches seeds itself.
    """
    if seeds == 1:
        return file
    if any(parameter.name == "seed" for parameter in file.parameters):
        raise GptexpError("seed is a parameter of the sweep, so that its points have their seeds; leave --seeds out")
    settings = {name: value for name, value in file.settings.items() if name != "seed"}
    first = int(file.settings.get("seed", FIRST_SEED))
    seed = Parameter("seed", "categorical", choices=tuple(range(first, first + seeds)))
    return replace(file, settings=settings, parameters=(*file.parameters, seed))


def note_oddities(sweep: Sweep) -> list[str]:
    """Notes on settings that are valid but probably not intended."""
    notes = [
        f"min and max of {p.distribution} are exponents of e, so {p.name} goes from {p.low:g} to {p.high:g}; "
        f"those of {p.distribution}_values are the values themselves"
        for p in sweep.file.parameters
        if p.distribution in ("log_uniform", "q_log_uniform") and 1 < p.low < p.high <= math.e
    ]
    if early := sweep.file.early_stop:
        configs = [sweep.config(settings) for settings in itertools.islice(list_checked(sweep), 100)]
        # Evaluation 1 is before the first step. The one after the last step doesn't count: nothing is left to stop.
        most = max(1 + max(config.max_steps - 1, 0) // config.eval_interval for config in configs)
        if most < early.bands[0]:
            first = f"the first comparison of early_terminate is at evaluation {early.bands[0]}"
            notes.append(f"{first}, but a trial has {most} before its end: none is stopped early")
    return notes + note_texts(sweep.file)


def note_texts(file: SweepFile) -> list[str]:
    """Notes on rankings whose trials can't be compared, because their texts or tokens differ."""
    choices = {p.name: len(p.choices) for p in file.parameters}
    name = file.metric.name
    if choices.get("corpus", 0) > 1:
        return [
            f"the trials learn from different texts, and {name} says as much of a text as of a model: rank those of "
            f"one text only"
        ]
    if choices.get("tokenizer", 0) > 1 and "loss" in name:
        return [f"the trials read different tokens, and {name} counts per token: val_bpb, bits per byte, compares them"]
    return []


def check_values(sweep: Sweep) -> None:
    """Check before training that the points give valid configs.

    Raises:
        GptexpError: the message names the values and what was expected.
    """
    for settings in list_checked(sweep):
        try:
            sweep.config(settings)
        except GptexpError as error:
            what = "the grid point" if sweep.file.method == "grid" else "what can be drawn,"
            hint = "" if sweep.file.method == "grid" else f"; {GO_TOGETHER}"
            told = write_settings(settings, ", ") or "the only trial"
            raise GptexpError(f"{what} {told} fits no run: {error}{hint}") from None


def list_checked(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """The settings to validate: all points if there are at most `CHECKED_POINTS` (of a grid only the requested ones),
    else the corners of the space and random points."""
    points = sweep.points()
    if points is not None and sweep.file.method == "grid":
        points = points[: sweep.n_trials]
    if points is not None and len(points) <= CHECKED_POINTS:
        yield from map(sweep.to_settings, points)
        return
    parameters = sweep.file.parameters
    names = [parameter.name for parameter in parameters]
    for values in itertools.islice(itertools.product(*(p.ends() for p in parameters)), CHECKED_POINTS // 5):
        yield dict(zip(names, values, strict=True))
    chance = random.Random(sweep.key)
    for _ in range(CHECKED_POINTS // 5):
        yield {parameter.name: parameter.sample(chance) for parameter in parameters}


def list_resolved(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """The settings to resolve: every combination of the `RESOLVED_FIELDS`; of a grid its first points."""
    points = sweep.points()
    if points is not None and sweep.file.method == "grid":
        yield from map(sweep.to_settings, points[: min(sweep.n_trials, RESOLVED_POINTS)])
        return
    names = [parameter.name for parameter in sweep.file.parameters]
    ends = [p.ends() if p.name in RESOLVED_FIELDS else p.ends()[:1] for p in sweep.file.parameters]
    for values in itertools.islice(itertools.product(*ends), RESOLVED_POINTS):
        yield dict(zip(names, values, strict=True))


def check_runs(sweep: Sweep) -> tuple[str, ...]:
    """Resolve points, to find unavailable texts, vocabularies or devices and points that are the same run.

    Returns:
        A note on points that are the same run.

    Raises:
        GptexpError: the message names the point and what is missing.
    """
    runs: dict[str, str] = {}
    twins: list[str] = []
    for settings in list_resolved(sweep):
        told = write_settings(settings, ", ")
        try:
            run = sweep.resolve(settings)
        except GptexpError as error:
            raise GptexpError(f"{told}: {error}" if told else str(error)) from None
        if runs.setdefault(run.run_id, told) != told:
            twins.append(f"{told} (as {runs[run.run_id]})")
    if not twins:
        return ()
    return (f"{len(twins)} points are the run of another and answered from its record, for example {twins[0]}",)
