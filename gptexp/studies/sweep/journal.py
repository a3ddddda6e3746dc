"""The state of a sweep on the disk: an Optuna journal that several processes share, and who works on what.

A process holds the lock file of its session while it lives, and every trial names the session that works on it: a
running trial whose session's lock is free belongs to a process that has gone, and is taken up by the next that asks.
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
"""How a trial ended whose journal has lost the line that says more."""


@dataclass(frozen=True)
class Claim:
    """A trial that this process works on."""

    number: int
    """Optuna's."""
    place: int
    """Ours, from 1: a trial that failed and is tried again keeps its place."""
    settings: dict[str, Any]
    why: str
    """new, taken up or again."""


@dataclass(frozen=True)
class TrialRow:
    """A trial as the journal has it."""

    place: int
    settings: dict[str, Any]
    state: str
    """running, stopped (running for a process that has gone), completed, diverged, pruned or failed."""
    value: float | None
    """The metric: infinite for a diverged trial, of a pruned one the last evaluation's."""
    about: dict[str, Any] = field(default_factory=dict)
    """run_id, detail, last_step and duration_s, once it has ended."""


class SweepJournal:
    """One process's view of a sweep. Whatever takes more than one step happens under the sweep's own lock."""

    def __init__(self, sweep: Sweep, session: str) -> None:
        """Args:
        session: as `hold_session` gave it.

        Raises:
            DiskError: the folder can't be written.
        """
        self.sweep = sweep
        self.session = session
        # Optuna speaks of every trial on stderr; the view shows them already.
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
        """A sentence for every damaged line of the journal, and one for what went with them: all of it is left out.

        A line that is gone leaves no trace, but for the trials that ended and don't say how.
        """
        trials = self.study.get_trials(deepcopy=False)
        places = [trial.user_attrs["place"] for trial in trials if trial.state.is_finished() and not _end(trial)]
        lacking = [f"{self._file.path}, the line is gone that says how trial {place} ended" for place in places]
        return [*self._file.damage, *lacking]

    def claim(self) -> Claim | None:
        """A trial to work on: one whose process has gone, one that failed for another process, or a new one.

        Returns:
            None where all trials are done or in good hands.
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
        """Note how a trial ended; False where another process has taken it up meanwhile, whose word then counts.

        Args:
            state: completed, diverged, pruned or failed.
            value: the metric of a trial that completed.
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
        """Enter the trial's evaluations so far, and ask whether it is worth going on."""
        trial = self._live(claim.number)
        known = self._frozen(claim.number).intermediate_values
        for number, value in enumerate(evaluations, start=1):
            if number not in known:
                trial.report(value, number)
        return bool(evaluations) and trial.should_prune()

    def fail_running(self, place: int, reason: str) -> None:
        """Note that the process that worked on a place for this session died."""
        trial = newest_by_place(self.study.get_trials(deepcopy=False))[place]
        self.finish(Claim(trial.number, place, {}, ""), "failed", None, {"detail": reason})

    def rows(self) -> list[TrialRow]:
        """Every trial, in the order of their places."""
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
        """Enter a running trial of ours, in a single line of the journal."""
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
    """What `SweepJournal.finish` noted of a trial; nothing where the journal has lost it."""
    return dict(trial.user_attrs.get("end") or {})


def newest_by_place(trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """The trial that counts for each place: a failed one may have been tried again."""
    return {trial.user_attrs["place"]: trial for trial in trials}


@contextlib.contextmanager
def hold_session(folder: Path) -> Iterator[str]:
    """Be a session of the sweep in `folder` as long as the block runs, or this process lives.

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
