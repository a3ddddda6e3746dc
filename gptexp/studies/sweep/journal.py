"""The state of a sweep on disk: an Optuna journal that several processes share.

While a process works on a sweep, it holds the lock file of its session, and each trial names the session that works on
it. If the lock of a running trial's session is free, its process has ended; the next process that asks for a trial then
resumes this one.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from filelock import Timeout
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from gptexp.files import (
    disk_errors,
    lock_file,
    make_folder,
    remove_file,
)
from gptexp.records import decode_floats, encode_floats
from gptexp.studies.sweep.draw import draw_trial
from gptexp.studies.sweep.journal_file import JournalFile
from gptexp.studies.sweep.pruner import BandPruner
from gptexp.studies.sweep.trial import Sweep

if TYPE_CHECKING:
    from optuna.study import Study

JOURNAL = "journal.log"
ENDS = {TrialState.COMPLETE: "completed", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
"""State of an ended trial if the journal has lost the line with its details."""


@dataclass(frozen=True)
class Claim:
    """A trial that this process works on."""

    number: int
    """Optuna's number of the trial."""
    place: int
    """gptexp's number, from 1. If a failed trial is tried again, the new trial has the same place."""
    settings: dict[str, Any]
    why: str
    """new; taken up (its process had ended); or again (it failed before)."""


@dataclass(frozen=True)
class TrialRow:
    """The newest trial of a place."""

    place: int
    settings: dict[str, Any]
    state: str
    """running, stopped (its process has ended), completed, diverged, pruned or failed."""
    value: float | None
    """The metric. Infinite for a diverged trial; for a pruned one the value at its last evaluation."""
    about: dict[str, Any] = field(default_factory=dict)
    """run_id, detail, last_step and duration_s; empty until the trial has ended."""


class SweepJournal:
    """A process's access to the state of a sweep. Operations of several steps hold the sweep's lock."""

    def __init__(self, sweep: Sweep, session: str) -> None:
        """Open the journal of a sweep, or create it.

        Args:
            session: the id from `hold_session`.

        Raises:
            DiskError: the folder can't be written.
        """
        self.sweep = sweep
        self.session = session
        # Optuna logs every trial to stderr, but the view shows them already.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        folder = sweep.folder
        with disk_errors(folder):
            make_folder(folder)
            self._lock = lock_file(folder / "claim.lock", folder)
            self._file = JournalFile(folder / JOURNAL, sweep)
        early = sweep.file.early_stop
        self.study: Study = optuna.load_study(
            storage=JournalStorage(self._file),
            study_name=sweep.key,
            sampler=optuna.samplers.RandomSampler(),
            pruner=BandPruner(early.bands, early.eta) if early else optuna.pruners.NopPruner(),
        )

    @property
    def damage(self) -> list[str]:
        """Sentences about damage: one per damaged line, and one for the intact lines that can't be used without them.

        All these lines are ignored. A line that is missing entirely is noticed only if a trial lacks its ending.
        """
        trials = self.study.get_trials(deepcopy=False)
        places = [trial.user_attrs["place"] for trial in trials if trial.state.is_finished() and not _end(trial)]
        lacking = [f"{self._file.path}, the line is gone that says how trial {place} ended" for place in places]
        return [*self._file.damage, *lacking]

    def claim(self) -> Claim | None:
        """Take a trial to work on: one whose process has ended, one that failed in another process, or a new one.

        Returns:
            None if all trials are done or being worked on.
        """
        with disk_errors(self.sweep.folder), self._lock:
            trials = self.study.get_trials(deepcopy=False)
            newest = newest_by_place(trials)
            for trial in newest.values():
                if trial.state == TrialState.RUNNING and not self._is_alive(trial.user_attrs["session"]):
                    self._live(trial.number).set_user_attr("session", self.session)
                    return self._claim(trial.number, "taken up")
            mine = {t.user_attrs["place"] for t in trials if t.user_attrs["session"] == self.session}
            for place, trial in newest.items():
                if trial.state == TrialState.FAIL and place not in mine:
                    return self._add(place, trial.params, "again")
            if self._target_is_reached(trials):
                return None
            free = next((place for place in range(1, self.sweep.n_trials + 1) if place not in newest), None)
            return None if free is None else self._add(free, draw_trial(self.sweep, self.study, free), "new")

    def finish(self, claim: Claim, state: str, value: float | None, about: dict[str, Any]) -> bool:
        """Record how a trial ended.

        Args:
            state: completed, diverged, pruned or failed.
            value: the metric of a completed trial.

        Returns:
            False if another process has taken the trial over meanwhile. Then nothing is recorded.
        """
        told = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL}.get(state, TrialState.COMPLETE)
        with disk_errors(self.sweep.folder), self._lock:
            trial = self._frozen(claim.number)
            if trial.state.is_finished() or trial.user_attrs["session"] != self.session:
                return False
            self._live(claim.number).set_user_attr("end", encode_floats({"state": state, **about}))
            worst = self.sweep.file.metric.worst
            values = (worst if value is None else value) if told == TrialState.COMPLETE else None
            self.study.tell(claim.number, values, state=told)
            return True

    def should_prune(self, claim: Claim, evaluations: Sequence[float]) -> bool:
        """Record the trial's evaluations so far; returns whether it should be stopped early."""
        trial = self._live(claim.number)
        known = self._frozen(claim.number).intermediate_values
        for number, value in enumerate(evaluations, start=1):
            if number not in known:
                trial.report(value, number)
        return bool(evaluations) and trial.should_prune()

    def fail_running(self, place: int, reason: str) -> None:
        """Record that this session's process for a trial has died."""
        trial = newest_by_place(self.study.get_trials(deepcopy=False))[place]
        self.finish(Claim(trial.number, place, {}, ""), "failed", None, {"detail": reason})

    def rows(self) -> list[TrialRow]:
        """The newest trial of every place, ordered by place."""
        newest = newest_by_place(self.study.get_trials(deepcopy=False))
        return [self._row(place, newest[place]) for place in sorted(newest)]

    def _row(self, place: int, trial: FrozenTrial) -> TrialRow:
        about = decode_floats(_end(trial), text=("detail", "run_id", "state"))
        state = about.pop("state", None) or ENDS.get(trial.state, "running")
        if not trial.state.is_finished():
            session = trial.user_attrs["session"]
            state = "running" if session != self.session and self._is_alive(session) else "stopped"
        return TrialRow(place, dict(trial.user_attrs["settings"]), state, trial.value, about)

    def _add(self, place: int, drawn: dict[str, Any], why: str) -> Claim:
        """Add a running trial of this session, in a single line of the journal."""
        settings = self.sweep.to_settings(drawn)
        self.study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=drawn,
                distributions={p.name: p.to_distribution() for p in self.sweep.file.parameters},
                user_attrs={"place": place, "session": self.session, "settings": settings},
            )
        )
        return self._claim(newest_by_place(self.study.get_trials(deepcopy=False))[place].number, why)

    def _claim(self, number: int, why: str) -> Claim:
        attrs = self._frozen(number).user_attrs
        return Claim(number, attrs["place"], dict(attrs["settings"]), why)

    def _frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _live(self, number: int) -> Trial:
        return Trial(self.study, self._frozen(number)._trial_id)

    def _target_is_reached(self, trials: Sequence[FrozenTrial]) -> bool:
        metric = self.sweep.file.metric
        values = [t.value for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
        if metric.target is None or not values:
            return False
        return min(values) <= metric.target if metric.goal == "minimize" else max(values) >= metric.target

    def _is_alive(self, session: str) -> bool:
        path = _session_path(self.sweep.folder, session)
        if session == self.session:
            return True
        try:
            with lock_file(path, self.sweep.folder).acquire(timeout=0):
                return False
        except Timeout:
            return True


def _end(trial: FrozenTrial) -> dict[str, Any]:
    """What `SweepJournal.finish` recorded about a trial; empty if the journal has lost it."""
    return dict(trial.user_attrs.get("end") or {})


def newest_by_place(trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """Place -> its newest trial. A place has several trials if one failed and was tried again."""
    return {trial.user_attrs["place"]: trial for trial in trials}


@contextlib.contextmanager
def hold_session(folder: Path) -> Iterator[str]:
    """Hold the lock of a new session of the sweep in `folder` until the block ends or this process dies.

    Yields:
        The session's id: 12 hex digits.

    Raises:
        DiskError: the folder can't be written.
    """
    session = uuid.uuid4().hex[:12]
    path = _session_path(folder, session)
    with disk_errors(folder):
        make_folder(path.parent, folder)
        lock = lock_file(path, folder)
        lock.acquire()
    try:
        yield session
    finally:
        lock.release()
        remove_file(path, folder)


def _session_path(folder: Path, session: str) -> Path:
    return folder / "sessions" / f"{session}.lock"
