"""One study at one scale with one set of overrides: the piece of the frames that figures and tables are made from."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gptexp.measures.catalog import select
from gptexp.measures.ends import list_unsaid
from gptexp.runs.frames import Frames
from gptexp.runs.packed import LOGS
from gptexp.studies.sweep.points import PREFIX, shorten_points


@dataclass(frozen=True)
class ArmRuns:
    """One arm of an instance and the runs that answer it."""

    name: str
    label: str
    index: int
    """Place in the study, from 0: it decides colour, line style and marker everywhere."""
    runs: pd.DataFrame
    """The rows of `Frames.runs`, one per seed, ordered by seed. Only a completed run has final losses here: the last
    measurement of one that diverged or was stopped is no end. One that was stopped right after its last step has its
    final train loss; its val loss was not measured on the whole split."""

    @property
    def run_ids(self) -> list[str]:
        return [str(run_id) for run_id in self.runs["run_id"]]

    def count_outcome(self, outcome: str) -> int:
        return int(self.runs["outcome"].eq(outcome).sum())


@dataclass(frozen=True)
class StudyRuns:
    """A study instance with its own rows of every frame.

    steps, evals, samples, events and metrics carry two more columns: `arm` (its name) and `seed`.
    """

    key: str
    name: str
    scale: str
    variant: str
    question: str
    hypothesis: str
    """What was expected; empty where the records don't say."""
    arms: tuple[ArmRuns, ...]
    """The arms of which at least one run has begun."""
    waiting: tuple[str, ...]
    """Runs that were asked for and have not begun, as `label, seed 1337`."""
    steps: pd.DataFrame
    evals: pd.DataFrame
    samples: pd.DataFrame
    events: pd.DataFrame
    metrics: pd.DataFrame
    detect: float | None = None
    """Nats per token; None where seeds were not added until the study was decided."""
    predictions: str = ""
    """The predictions that were entered last, as `gptexp.studies.prediction` encodes them; empty where there are none.
    """
    foretold: str = ""
    """How that went with its runs: before, after, or changed (others were entered before); empty without predictions.
    """
    entered_at: str = ""
    """When they were entered first, ISO 8601."""

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone travel to another process: what is cached beside them may be large, and may just be added
        by this process's own work on the instance while a thread pickles it.
        """
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @functools.cached_property
    def kept(self) -> dict[Any, Any]:
        """What was once reckoned from these records and will be asked for again."""
        return {}

    @functools.cached_property
    def runs(self) -> pd.DataFrame:
        """All runs of all arms; a run that answers two arms appears twice."""
        return pd.concat([arm.runs for arm in self.arms], ignore_index=True)

    @functools.cached_property
    def val_curve(self) -> pd.DataFrame:
        """The evaluations of each run that can be compared with each other: those on its fixed subset of val windows.

        The one over the whole split at the end is on other text and stands apart (`final_val_loss`); it counts here
        only for runs that have no other.
        """
        has_subset = self.evals["run_id"].isin(self.evals.loc[~self.evals["whole"], "run_id"])
        return self.evals[~self.evals["whole"] | ~has_subset]

    @property
    def outliers(self) -> pd.DataFrame:
        """The events of batches that were made to be a spike."""
        return self.events[self.events["name"] == "outlier-batch"]

    @functools.cached_property
    def run_ids(self) -> list[str]:
        return list(dict.fromkeys(run_id for arm in self.arms for run_id in arm.run_ids))

    @functools.cached_property
    def seeds(self) -> list[int]:
        return sorted({int(seed) for seed in self.runs["seed"]})

    @functools.cached_property
    def _steps_by_arm(self) -> dict[str, pd.DataFrame]:
        return {str(name): rows for name, rows in self.steps.groupby("arm", sort=False)}

    def steps_of(self, arm: ArmRuns) -> pd.DataFrame:
        """The rows of `steps` that belong to an arm of this instance."""
        return self._steps_by_arm.get(arm.name, self.steps.iloc[:0])

    @property
    def max_steps(self) -> int:
        return int(self.runs["max_steps"].max())

    @property
    def is_untrained(self) -> bool:
        """Whether the study looks at models before their first step."""
        return self.max_steps == 0


def select_studies(
    frames: Frames, studies: Sequence[str] | None = None, scales: Sequence[str] | None = None
) -> list[StudyRuns]:
    """Every study instance of which a run has begun, in the order in which the studies were first asked for.

    Overrides may come to what the study is anyway (`--set device=cpu` where there is no GPU): an instance with
    overrides whose runs all answer the same arms of the study as written is that instance, and not another one.

    Args:
        studies: only these; None takes all.
        scales: only these; None takes all.
    """
    members = frames.members
    if studies is not None:
        members = members[members["study"].isin(list(studies))]
    if scales is not None:
        members = members[members["scale"].isin(list(scales))]
    first_asked = members.groupby("study")["asked_at"].min().to_dict()
    members = _drop_repeated(members)
    begun = members[members["run_id"].isin(frames.runs["run_id"])]
    keys = begun[["study", "scale", "variant", "instance"]].drop_duplicates()
    ordered = sorted(
        keys.itertuples(index=False),
        key=lambda key: (first_asked[key.study], key.study, key.scale, key.variant != "{}", key.variant),
    )
    logs = {name: _Log(getattr(frames, name)) for name in LOGS}
    return [_build_study(frames, logs, members[members["instance"] == key.instance]) for key in ordered]


def _drop_repeated(members: pd.DataFrame) -> pd.DataFrame:
    """Memberships without those of instances that the study as written holds whole."""
    places = {
        key: set(rows[["arm", "seed", "run_id"]].itertuples(index=False, name=None))
        for key, rows in members.groupby(["study", "scale", "variant"])
    }
    repeated = {
        key for key, own in places.items() if key[2] != "{}" and own <= places.get((key[0], key[1], "{}"), set())
    }
    keys = zip(members["study"], members["scale"], members["variant"], strict=True)
    return members[np.array([key not in repeated for key in keys], dtype=bool)]


def keep_arms(study: StudyRuns, names: Sequence[str]) -> StudyRuns | None:
    """The instance with only the arms called `names`, in their order in the study and in their styles; None if none.

    Records of the other arms, and runs that were not begun, are left out.
    """
    arms = tuple(arm for arm in study.arms if arm.name in names)
    if not arms:
        return None
    logs = {name: getattr(study, name) for name in LOGS}
    kept = {name: log[log["arm"].isin(names)].reset_index(drop=True) for name, log in logs.items()}
    return dataclasses.replace(study, arms=arms, waiting=(), **kept)


class _Log:
    """A frame of records, and where in it each run's lie."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._places = frame.groupby("run_id", sort=False).indices

    def take(self, members: pd.DataFrame) -> pd.DataFrame:
        """The records of an instance's members in their order, each with its arm and seed behind the run id."""
        places = [self._places.get(run_id, _NOWHERE) for run_id in members["run_id"]]
        counts = [len(rows) for rows in places]
        taken = self._frame.iloc[np.concatenate([_NOWHERE, *places])].reset_index(drop=True)
        for column, name in enumerate(("arm", "seed"), start=1):
            taken.insert(column, name, members[name].repeat(counts).array)
        return taken


_NOWHERE = np.empty(0, dtype=np.intp)


def _build_study(frames: Frames, logs: dict[str, _Log], members: pd.DataFrame) -> StudyRuns:
    first, newest = members.iloc[0], members.sort_values("asked_at", kind="stable").iloc[-1]
    runs = frames.runs.set_index("run_id", drop=False)
    begun = members[members["run_id"].isin(runs.index)]
    waiting = members[~members["run_id"].isin(runs.index)]
    labels = _name_arms(str(first["study"]), members)
    arms = tuple(
        ArmRuns(
            name=str(name),
            label=labels[name],
            index=int(rows["order"].iloc[0]),
            runs=_keep_ends(runs.loc[rows["run_id"]].assign(seed=rows["seed"].to_numpy()).reset_index(drop=True)),
        )
        for name, rows in begun.groupby("arm", sort=False)
    )
    records: dict[str, Any] = {name: log.take(members) for name, log in logs.items()}
    study = StudyRuns(
        key=str(first["instance"]),
        name=str(first["study"]),
        scale=str(first["scale"]),
        variant=str(first["variant"]),
        question=str(newest["question"]),
        hypothesis=str(newest["hypothesis"]),
        arms=arms,
        detect=_find_detect(members),
        waiting=tuple(f"{labels[row.arm]}, seed {row.seed}" for row in waiting.itertuples(index=False)),
        **records,
    )
    return _note_predictions(study, begun, str(newest["predictions"]))


def _name_arms(study: str, members: pd.DataFrame) -> dict[Any, str]:
    """Arm -> its newest label; the points of a sweep without the settings that they share."""
    newest = members.groupby("arm", sort=False)["label"].last()
    labels = [str(label) for label in newest]
    return dict(zip(newest.index, shorten_points(labels) if study.startswith(PREFIX) else labels, strict=True))


def _note_predictions(study: StudyRuns, begun: pd.DataFrame, newest: str) -> StudyRuns:
    """The instance with what was predicted of it, and whether that was entered before each of its runs.

    Args:
        begun: the memberships of its runs.
        newest: the predictions that were entered last.
    """
    if not newest:
        return study
    same = begun["predictions"] == newest
    times = begun.loc[same, "entered_at"]
    foretold = "before" if same.all() and begun["foretold"].eq("before").all() else "after"
    if begun["foretold"].eq("changed").any() or (begun["predictions"].ne("") & ~same).any():
        foretold = "changed"
    entered_at = str(times.min()) if len(times) else ""
    return dataclasses.replace(study, predictions=newest, foretold=foretold, entered_at=entered_at)


def _find_detect(members: pd.DataFrame) -> float | None:
    """What was asked for last, of those members that were asked for with such a difference."""
    named = members[members["detect"].notna()].sort_values("asked_at", kind="stable")
    return float(named["detect"].iloc[-1]) if len(named) else None


def _keep_ends(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs without the final losses that are no ends of theirs (`list_unsaid`)."""
    columns = (runs[name] for name in ("outcome", "last_step", "max_steps"))
    unsaid = [set(list_unsaid(*row)) for row in zip(*columns, strict=True)]
    ends = select(lambda measure: measure.at_the_end)
    kept = {name: np.array([name not in own for own in unsaid], dtype=bool) for name in ends}
    return runs.assign(**{name: runs[name].where(is_kept) for name, is_kept in kept.items()})


def read_number(value: object) -> float:
    """A cell as a float, NaN where there is none."""
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
