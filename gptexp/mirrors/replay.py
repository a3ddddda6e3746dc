"""Runs that are over, told to their mirrors from the record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout as LockTimeout

from gptexp.errors import GptexpError
from gptexp.files import exists, lock_file
from gptexp.mirrors.protocol import FanOut
from gptexp.mirrors.wandb import Mode, WandbTracker
from gptexp.mirrors.wandb_folder import has_offline_mirror, mark_synced
from gptexp.mirrors.wandb_server import PROBE_S, server_name, why_unreachable
from gptexp.studies.job import Job, describe_run
from gptexp.tracking.housekeeping import list_run_dirs
from gptexp.tracking.leftovers import tidy_run
from gptexp.tracking.lines import read_lines
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import read_typed_records


def find_lacking(ended: Mapping[str, tuple[RunDir, Result]], mode: Mode) -> frozenset[str]:
    """The ids of runs that are over and that W&B, or what is kept here for it, lacks or has in part.

    Online, that is every run that W&B is not known to have whole. Offline, and where the server is out of reach, it is
    every run that was never sent and that no offline mirror holds: there is one, and it is not made twice.
    """
    places = {run_id: run_dir.read_mirror() for run_id, (run_dir, _) in ended.items()}
    unsent = frozenset(run_id for run_id, place in places.items() if place is None or not place.whole)
    if mode == "disabled" or not unsent:
        return frozenset()
    if mode == "online" and why_unreachable(PROBE_S) is None:
        return unsent
    return frozenset(run_id for run_id in unsent if not (places[run_id] or has_offline_mirror(*ended[run_id])))


def replay(job: Job, run_dir: RunDir, result: Result, mirrors: FanOut) -> None:
    """Tell the mirrors of a run that is over, from its record."""
    provenance = {**(read_lines(run_dir.provenance, run_dir.within) or [{}])[-1], "from_step": result.last_step}
    mirrors.start(describe_run(job, provenance, read_typed_records(run_dir.records)))
    mirrors.finish(result)
    if (mirror := run_dir.read_mirror()) and mirror.whole:
        mark_synced(run_dir)


@dataclass(frozen=True)
class Sent:
    """What became of a run that should be sent to W&B."""

    run_id: str
    state: str
    """`sent`, `nothing new`, or `left out`."""
    reason: str = ""
    """Why it was left out."""
    url: str | None = None


def send_run(run_dir: RunDir, *, again: bool, patience_s: float) -> Sent:
    """Bring the W&B run of a run folder up to its record: rows that W&B has are left as they are, the others come.

    Args:
        again: also where nothing is known to be missing.
        patience_s: how long the sending may take, in seconds.

    Raises:
        GptexpError: the server doesn't answer.
    """
    run_id = run_dir.path.name
    mirror = run_dir.read_mirror()
    if mirror and mirror.whole and not again:
        # A process that was killed may have noted the one and not left the other.
        mark_synced(run_dir)
        return Sent(run_id, "nothing new", url=mirror.url)
    if (reason := why_unreachable(PROBE_S)) is not None:
        raise GptexpError(f"{server_name()} is out of reach ({reason}); try again later: nothing is lost")
    try:
        with lock_file(run_dir.path / "lock", run_dir.within).acquire(timeout=0):
            return _send_locked(run_dir, patience_s)
    except LockTimeout:
        return Sent(run_id, "left out", "it is being trained; send it when it has ended")


def _send_locked(run_dir: RunDir, patience_s: float) -> Sent:
    run_id = run_dir.path.name
    with contextlib.suppress(OSError):
        tidy_run(run_dir)
    try:
        content, result = run_dir.read_config(), run_dir.read_result()
    except (ValueError, FileNotFoundError) as error:
        return Sent(run_id, "left out", f"its record is damaged ({error})")
    if result is None:
        return Sent(run_id, "left out", "it has not ended yet")
    problems: list[str] = []
    note: Callable[[str], None] = problems.append
    tracker = WandbTracker("online", patience_s=patience_s, warn=note, place=run_dir.read_mirror())
    members = run_dir.read_members()
    job = Job(run_id, str(run_dir.path), content, "", "", members[0] if members else {})
    replay(job, run_dir, result, FanOut([tracker], note))
    mirror = run_dir.read_mirror()
    if problems or mirror is None or not mirror.whole:
        return Sent(run_id, "left out", "; ".join(problems) or "the server did not take all of it")
    return Sent(run_id, "sent", url=mirror.url)


def list_ended(runs_dir: Path) -> list[RunDir]:
    """The run folders that hold a result, by run id."""
    return [run_dir for run_dir in list_run_dirs(runs_dir) if exists(run_dir.path / "result.json", run_dir.within)]
