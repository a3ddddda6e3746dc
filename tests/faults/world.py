"""Run folders, a pack and a report's folder as gptexp leaves them, and all that its commands read out of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gptexp.report.check as check_module
from gptexp.cli.run_show import describe_run
from gptexp.errors import GptexpError
from gptexp.report.build import make_report
from gptexp.report.bundle import write_bundle
from gptexp.report.check import check_report
from gptexp.report.document import PAGE, BuiltReport
from gptexp.runs.folders import read_run_folders
from gptexp.runs.frames import load_frames
from gptexp.runs.listing import list_folders
from gptexp.runs.packed import LOGS, read_loaders, write_packed
from gptexp.runs.verify_pack import verify_pack
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from gptexp.studies.sweep.journal import SweepJournal, hold_session
from gptexp.studies.sweep.trial import Sweep
from gptexp.tracking.housekeeping import list_run_dirs
from gptexp.tracking.packs import is_packed
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.verify import verify_run
from gptexp.training.checkpoint import DamagedCheckpoint, list_checkpoints
from gptexp.training.weights import load_model
from tests.studies.sweeps import make_sweep
from tests.studies.tiny import TINY, read_untimed

TEXT = "".join(f"Ada counts {n * n % 97} hills and {n * 7 % 41} seas by day {n}.\n" for n in range(400))


@dataclass
class Seen:
    """What somebody learns who uses all commands that read a folder."""

    numbers: dict[str, str] = field(default_factory=dict)
    """Digests of everything that is shown, by what shows it."""
    notices: set[str] = field(default_factory=set)
    """Sentences that say that something is wrong."""

    def show(self, name: str, value: Any) -> None:
        text = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True, default=str).encode()
        self.numbers[name] = hashlib.sha256(text).hexdigest()[:12]

    @contextmanager
    def errors(self) -> Iterator[None]:
        """A sentence instead of an answer is a notice."""
        try:
            yield
        except (GptexpError, DamagedCheckpoint) as error:
            self.notices.add(str(error))


@dataclass(frozen=True)
class World:
    """Two runs that are done and one that was interrupted, a pack and a report of them, and a sweep's journal."""

    folder: Path
    jobs: tuple[Job, ...]
    fresh: dict[str, str | bytes]
    """The files of the report."""

    def areas(self) -> dict[str, Callable[[Path, Path | None], Seen]]:
        """What can be damaged, and who looks at it: a folder of this name, and the file in it that was changed."""
        return {
            "runs": self.look_at_runs,
            "pack": look_at_records,
            "page": self.look_at_page,
            "sweep": self.look_at_sweep,
        }

    def look_at_runs(self, runs: Path, changed: Path | None = None) -> Seen:
        """Through `runs list`, `show`, `verify`, `report`, `sample`, and the command that goes on with a run."""
        seen = look_at_records(runs)
        for run_dir in list_run_dirs(runs):
            verdict = verify_run(run_dir)
            seen.notices |= {f"{run_dir.path.name}: {clause}" for clause in [*verdict.problems, *verdict.unchecked]}
        for job in self.jobs[:2]:
            with seen.errors():
                self._look_at_weights(RunDir(runs / job.run_id), job, seen)
        interrupted = self.jobs[2]
        if changed is None or interrupted.run_id in changed.parts:
            with seen.errors():
                self._go_on(runs, interrupted, seen)
        return seen

    def _look_at_weights(self, run_dir: RunDir, job: Job, seen: Seen) -> None:
        folders = list_checkpoints(run_dir.checkpoints)
        if not folders:
            raise GptexpError("no weights")
        model, step = load_model(job.run.config, folders[0])
        weights = b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())
        seen.show(f"weights of {job.run_id}", [step, hashlib.sha256(weights).hexdigest()])

    def _go_on(self, runs: Path, job: Job, seen: Seen) -> None:
        moved = Job(job.run, str(runs / job.run_id), job.corpus, job.command, job.member)
        result = execute(moved, [], lambda: False, lambda message: seen.notices.add(message))
        losses = (result.outcome, result.last_step, result.final_train_loss, result.final_val_loss)
        seen.show("the run that went on", [losses, read_untimed(runs / job.run_id)])

    def look_at_page(self, out: Path, changed: Path | None = None) -> Seen:
        """Through `report --check`, and a report in its place."""
        seen = Seen()
        for path in sorted(out.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 2**30:
                seen.show(path.relative_to(out).as_posix(), path.read_bytes())
        with seen.errors(), remembered(self.fresh):
            seen.notices |= set(check_report("study", runs_dir=self.folder / "runs", out=out).problems)
        with seen.errors():
            write_bundle(out, self.fresh)
            seen.show("written again", sorted(path.name for path in out.rglob("*") if path.name in self.fresh))
        return seen

    def look_at_sweep(self, runs: Path, changed: Path | None = None) -> Seen:
        """Through the table of a sweep and a process that joins it. A trial that is lost is tried again."""
        seen = Seen()
        sweep = make_sweep(runs, self.folder / "corpus.txt")
        with seen.errors(), hold_session(sweep.folder) as session:
            journal = SweepJournal(sweep, session)
            for row in journal.rows():
                if row.state != "stopped":
                    seen.show(f"trial {row.place}", dataclasses.asdict(row))
            seen.notices |= set(journal.damage)
            journal.claim()
        return seen


@contextmanager
def remembered(files: dict[str, str | bytes]) -> Iterator[None]:
    """Its records are as they were, and so is the report that is made of them: that would take seconds each time."""
    real = check_module.make_report
    made = BuiltReport(Path(PAGE), dict(files), {}, [])
    check_module.make_report = lambda *_, **__: made  # type: ignore[assignment]
    try:
        yield
    finally:
        check_module.make_report = real


def look_at_records(records: Path, changed: Path | None = None) -> Seen:
    """Through what reads run folders and packs: `runs list`, `runs show`, and the frames of a report."""
    seen = Seen()
    with seen.errors():
        folders, damaged = read_run_folders(records)
        seen.notices |= {f"{path.name}: {reason}" for path, reason in damaged}
        # Lists and pages say so, and count none of its numbers: all that is left of a run whose result is gone.
        seen.notices |= {f"{folder.run_id} is unfinished" for folder in folders if folder.outcome == "unfinished"}
        seen.show("runs list", [{**row, "path": ""} for row in list_folders(folders)])
        for folder in folders if not is_packed(records) else []:
            about = {**describe_run(folder, 1000), "path": ""}
            seen.notices |= set(about.pop("problems"))
            seen.show(f"runs show {folder.run_id}", about)
    with seen.errors():
        frames = load_frames(records)
        seen.notices |= set(frames.damaged["reason"])
        for name in ("runs", "members", *LOGS):
            cells = getattr(frames, name).to_csv(index=False)
            seen.show(f"{name} of the report", cells.encode(errors="backslashreplace"))
    if is_packed(records):
        with seen.errors():
            seen.show("loaders", read_loaders(records))
        for run_id, verdict in verify_pack(records).items():
            seen.notices |= {f"{run_id}: {clause}" for clause in [*verdict.problems, *verdict.unchecked]}
    return seen


def make_world(folder: Path) -> World:
    """Train, pack and report; some ten seconds."""
    folder.mkdir(parents=True)
    corpus = folder / "corpus.txt"
    corpus.write_text(TEXT)
    arms = (Arm("free", "no decay", {"weight_decay": 0.0}), Arm("held", "with decay", {"weight_decay": 0.1}))
    study = Study(name="fuzz", question="Does it last?", hypothesis="", source="", arms=arms)
    planned = plan_runs([StudyRequest(study, find_scale("quick"), 2, TINY, str(corpus))], folder / "runs")
    jobs = []
    for item in planned[:3]:
        item.run_dir.append_member(item.member())
        job = Job(item.run, str(item.run_dir.path), str(corpus), "gptexp run fuzz", item.member())
        stops = iter([False] * 7) if len(jobs) == 2 else None
        execute(job, [], lambda stops=stops: stops is not None and next(stops, True), lambda message: None)
        jobs.append(job)
    pack(folder / "runs", folder / "pack", [job.run_id for job in jobs[:2]])
    make_journal(make_sweep(folder / "sweep", corpus))
    fresh = make_report("study", runs_dir=folder / "runs").files
    write_bundle(folder / "page", fresh)
    return World(folder, tuple(jobs), fresh)


def make_journal(sweep: Sweep) -> None:
    """Five trials of six, one of which failed and one of which diverged."""
    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        for place, state in enumerate(("completed", "completed", "diverged", "failed", "completed")):
            claim = journal.claim()
            assert claim is not None
            about = {"run_id": f"{place:012x}", "detail": "", "last_step": 12, "duration_s": 1.5}
            journal.finish(claim, state, 3.25 - place / 8 if state == "completed" else None, about)


def pack(runs: Path, out: Path, run_ids: Iterable[str]) -> None:
    """Pack some runs, with a made-up estimate for each."""
    chosen = set(run_ids)
    frames = load_frames(runs, chosen)
    estimates = {"step": 12, "wrong": 3.5, "right": 3.25, "batches": [3.5, 3.0], "whole": None}
    loaders = {run_id: {"run_id": run_id, **estimates} for run_id in chosen}
    write_packed(out, read_run_folders(runs, chosen)[0], {name: getattr(frames, name) for name in LOGS}, loaders)
