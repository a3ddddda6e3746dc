"""What is killed: the commands that change the disk, each with a place to begin from and what must hold afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.mirrors.wandb_folder import mark_synced
from gptexp.report.build import make_report
from gptexp.report.bundle import write_bundle
from gptexp.runs.frames import load_frames
from gptexp.studies.execute import execute
from gptexp.studies.launchers import JobContext
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.runner import enter_members
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from gptexp.tracking.housekeeping import list_run_dirs
from gptexp.tracking.leftovers import list_leftovers
from gptexp.tracking.run_dir import MirrorPlace, RunDir
from gptexp.tracking.verify import verify_run
from gptexp.training.checkpoint import list_checkpoints, step_of
from tests.studies.tiny import SMALLEST, TIMES

TIMED = {*TIMES, "duration_s", "peak_memory_mib", "finished_at"}
SETTINGS = {
    **SMALLEST,
    "tokenizer": "char",
    "max_steps": 4,
    "eval_interval": 2,
    "sample_interval": 3,
    "checkpoint_interval": 1,
    "final_eval": "subset",
    "threads": 1,
}


@dataclass(frozen=True)
class Scene:
    """One command. `folder` holds all that it touches: `runs`, `out`, `pack`, and the corpus."""

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path], object]
    """The command; given again after a kill, it has to finish."""
    check: Callable[[Path], object]
    """What must hold once it was given again, as plain data that equals that of an undisturbed command."""
    midway: Callable[[Path], None]
    """What must hold right after the kill."""


def request(folder: Path, arms: int = 1) -> StudyRequest:
    """A study of tiny runs that differ in their learning rate."""
    rates = [Arm(f"arm{number}", f"arm {number}", {"lr": 10.0 ** -(2 + number)}) for number in range(arms)]
    study = Study(name="tiny", question="Does it last?", hypothesis="", source="", arms=tuple(rates))
    return StudyRequest(study, find_scale("quick"), 1, SETTINGS, str(folder / "corpus.txt"))


def train(folder: Path, arms: int = 1, stop_after: int | None = None, until_step: int | None = None) -> None:
    """What `gptexp run` does, in this process."""
    planned = plan_runs([request(folder, arms)], folder / "runs", until_step)
    enter_members(planned)
    for item in planned:
        asked = iter([False] * (stop_after - 1) + [True] if stop_after else [])
        execute(item.job("gptexp run tiny"), [], lambda asked=asked: next(asked, False), lambda message: None)
    if not stop_after:
        call("runs", "gc", "--runs-dir", str(folder / "runs"))


def call(*arguments: str) -> None:
    """The command line in this process.

    Raises:
        SystemExit: with its exit status, unless that is 0.
    """
    from gptexp.cli.main import main

    sys.argv = ["gptexp", *arguments]
    try:
        main()
    except SystemExit as ended:
        if ended.code not in (0, None):
            raise


def no_damage(folder: Path) -> None:
    """A kill never looks like damage, but for the line that it cut off; no run is done that has lost its records."""
    for run_dir in list_run_dirs(folder / "runs"):
        problems = [problem for problem in verify_run(run_dir).problems if not problem.endswith("it was cut off")]
        assert problems == [], (run_dir.path.name, problems)


def look(folder: Path) -> dict[str, Any]:
    """All that the runs hold, without times; checks that they are sound and that nothing else lies about."""
    found: dict[str, Any] = {}
    for run_dir in list_run_dirs(folder / "runs"):
        verdict = verify_run(run_dir)
        assert verdict.word == "sound", (run_dir.path.name, verdict)
        assert list_leftovers(run_dir) == []
        lines = run_dir.records.read_text().splitlines()
        result = json.loads((run_dir.path / "result.json").read_text())
        found[run_dir.path.name] = {
            "records": [untimed(json.loads(line)) for line in lines],
            "result": {name: value for name, value in untimed(result).items() if name not in ("seal", "sums")},
            "members": [{**row, "asked_at": None} for row in run_dir.read_members()],
            "weights": {path.name: hash_file(path / "model.safetensors") for path in promised(run_dir, result)},
        }
    hidden = [path.name for path in (folder / "runs").iterdir() if path.name.startswith(".")]
    assert hidden == [], hidden
    return found


def untimed(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in TIMED}


def promised(run_dir: RunDir, result: dict[str, Any]) -> list[Path]:
    """The checkpoints that a run keeps: its last one and its best one. A kill may leave more for `gc`."""
    steps = {result["last_step"], result["best_val_step"]}
    return [path for path in list_checkpoints(run_dir.checkpoints) if step_of(path) in steps]


def hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def train_in_parts(folder: Path) -> None:
    """What two commands do: `--until-step 2`, and then the same without it."""
    train(folder, until_step=2)
    (run_dir,) = list_run_dirs(folder / "runs")
    result = run_dir.read_result()
    assert result is not None
    assert result.last_step >= 2
    train(folder)


def prepare_removal(folder: Path) -> None:
    train(folder, arms=2)
    (folder / "runs" / ".removed-0123456789ab" / "checkpoints").mkdir(parents=True)
    (folder / "chosen").write_text(list_run_dirs(folder / "runs")[0].path.name)


def remove(folder: Path) -> None:
    """`gptexp runs rm`; that it is gone already is as good."""
    with contextlib.suppress(SystemExit):
        call("runs", "rm", (folder / "chosen").read_text(), "--runs-dir", str(folder / "runs"))
    call("runs", "gc", "--runs-dir", str(folder / "runs"))


def prepare_cleaning(folder: Path) -> None:
    """A run that is done; its last weights stand under the name that they had while they were written."""
    train(folder)
    (run_dir,) = list_run_dirs(folder / "runs")
    last = list_checkpoints(run_dir.checkpoints)[0]
    (run_dir.path / ".result.json.1a2b3c4d").write_text("{")
    last.rename(run_dir.checkpoints / f".{last.name}.4711")
    train_other = run_dir.checkpoints / ".step-00000001.4712"
    train_other.mkdir()
    (train_other / "model.safetensors").write_bytes(b"half")


def weights_are_somewhere(folder: Path) -> None:
    for run_dir in list_run_dirs(folder / "runs"):
        assert list(run_dir.checkpoints.glob("*step-00000004*/model.safetensors")), "the last weights are gone"


def prepare_pack(folder: Path) -> None:
    train(folder, arms=1)
    call("runs", "pack", "--out", str(folder / "pack"), "--runs-dir", str(folder / "runs"))
    train(folder, arms=2)


def look_at_pack(folder: Path) -> dict[str, Any]:
    frames = load_frames(folder / "pack")
    assert {path.name for path in (folder / "pack").iterdir() if path.name.startswith(".")} == set()
    return {"runs": sorted(frames.runs["run_id"]), "losses": frames.steps["train_loss"].tolist()}


def pack_is_one_of_two(folder: Path) -> None:
    frames = load_frames(folder / "pack")
    assert len(frames.steps) == 4 * len(frames.runs), "two packings are mixed"
    assert frames.damaged.empty


def prepare_report(folder: Path) -> None:
    """A page of one run, a note of the user's beside it, and the files of the next page."""
    train(folder, arms=1)
    write_bundle(folder / "page" / "out", make_report(None, runs_dir=folder / "runs").files)
    (folder / "page" / "out" / "note.txt").write_text("the user's own")
    (folder / "page" / "out" / "shots").mkdir()
    (folder / "page" / "out" / "shots" / "one.png").write_bytes(b"also the user's")
    train(folder, arms=2)
    (folder / "next").write_bytes(pickle.dumps(make_report(None, runs_dir=folder / "runs").files))


def report(folder: Path) -> None:
    """What `gptexp report` does once it has made its files."""
    write_bundle(folder / "page" / "out", pickle.loads((folder / "next").read_bytes()))


def look_at_page(folder: Path) -> dict[str, Any]:
    out = folder / "page" / "out"
    page_is_whole(folder)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    return {path.relative_to(out).as_posix(): hash_file(path) for path in sorted(out.rglob("*")) if path.is_file()}


def page_is_whole(folder: Path) -> None:
    """The page is the old one or the new one, and the user's files are beside it."""
    out = folder / "page" / "out"
    assert (out / "note.txt").read_text() == "the user's own"
    assert (out / "shots" / "one.png").read_bytes() == b"also the user's"
    manifest = json.loads((out / "manifest.json").read_text())
    for entry in manifest["files"]:
        assert hash_file(out / entry["path"]) == entry["sha256"], entry["path"]


class Mirror:
    """Stands for the W&B client: it only notes where the mirror is, as the true one does."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def start(self, info: Any) -> None:
        self.run_dir = RunDir(Path(info.run_dir))
        self.run_dir.write_mirror(MirrorPlace("me", "gptexp", info.run_id, "https://wandb.example/x", whole=False))

    def log(self, record: Any) -> None: ...

    def finish(self, result: Any) -> None:
        place = MirrorPlace("me", "gptexp", result.run_id, "https://wandb.example/x", whole=True)
        self.run_dir.write_mirror(place)
        mark_synced(self.run_dir)


def sync(folder: Path) -> None:
    from gptexp.mirrors import wandb_sync

    wandb_sync.WandbTracker = Mirror  # type: ignore[misc, assignment]
    wandb_sync.why_unreachable = lambda patience_s: None
    os.environ |= {"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40}
    call("runs", "sync", "--runs-dir", str(folder / "runs"))


def prepare_sync(folder: Path) -> None:
    train(folder)
    for run_dir in list_run_dirs(folder / "runs"):
        part = run_dir.path / "wandb" / "offline-run-20250101_000000-x"
        part.mkdir(parents=True)
        (part / "run-x.wandb").write_bytes(b"rows")


def look_at_mirror(folder: Path) -> dict[str, Any]:
    places = {run_dir.path.name: run_dir.read_mirror() for run_dir in list_run_dirs(folder / "runs")}
    assert all(place is not None and place.whole for place in places.values())
    marks = sorted(path.name for path in folder.rglob("*.synced"))
    return {**look(folder), "places": {name: str(place) for name, place in places.items()}, "marks": marks}


def sweep(folder: Path) -> None:
    from gptexp.studies.sweep.journal import hold_session
    from gptexp.studies.sweep.worker import Slot, work_on_sweep
    from tests.studies.sweeps import make_sweep

    one = make_sweep(folder / "runs", folder / "corpus.txt", parameters=SEARCHED)
    with hold_session(one.folder) as session:
        slot = Slot(0, one, session, (), "gptexp sweep")
        work_on_sweep(slot, JobContext(lambda event: None, lambda: False))
    gc(folder)


SEARCHED = {
    "lr": {"values": [1e-3, 1e-2]},
    "max_steps": {"value": 2},
    "threads": {"value": 1},
    "n_layer": {"value": 1},
    "n_embd": {"value": 16},
    "sample_interval": {"value": 2},
}


def look_at_sweep(folder: Path) -> dict[str, Any]:
    from gptexp.studies.sweep.journal import SweepJournal, hold_session
    from tests.studies.sweeps import make_sweep

    one = make_sweep(folder / "runs", folder / "corpus.txt", parameters=SEARCHED)
    with hold_session(one.folder) as session:
        rows = SweepJournal(one, session).rows()
    assert [row.state for row in rows] == ["completed"] * 2, rows
    return {**look(folder), "trials": [(row.settings, row.value, row.about["run_id"]) for row in rows]}


def nothing(folder: Path) -> None: ...


def gc(folder: Path) -> None:
    call("runs", "gc", "--runs-dir", str(folder / "runs"))


def gc_weights(folder: Path) -> None:
    call("runs", "gc", "--weights", "--runs-dir", str(folder / "runs"))


def pack(folder: Path) -> None:
    call("runs", "pack", "--out", str(folder / "pack"), "--runs-dir", str(folder / "runs"))


SCENES = (
    Scene("run", nothing, train, look, no_damage),
    Scene("run resumed", lambda folder: train(folder, stop_after=2), train, look, no_damage),
    Scene("run until a step", nothing, lambda folder: train(folder, until_step=3), look, no_damage),
    Scene("run in parts", nothing, train_in_parts, look, no_damage),
    Scene("rm", prepare_removal, remove, look, no_damage),
    Scene("gc", prepare_cleaning, gc, look, weights_are_somewhere),
    Scene("gc --weights", train, gc_weights, look, no_damage),
    Scene("pack", prepare_pack, pack, look_at_pack, pack_is_one_of_two),
    Scene("report", prepare_report, report, look_at_page, page_is_whole),
    Scene("sync", prepare_sync, sync, look_at_mirror, no_damage),
    Scene("sweep", nothing, sweep, look_at_sweep, no_damage),
)
