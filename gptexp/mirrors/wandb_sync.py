"""What W&B lacks of recorded runs, sent from their records."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout as LockTimeout

from gptexp.errors import GptexpError
from gptexp.files import exists, lock_file
from gptexp.mirrors.protocol import FanOut
from gptexp.mirrors.replay import replay
from gptexp.mirrors.wandb import WandbTracker
from gptexp.mirrors.wandb_folder import mark_synced
from gptexp.mirrors.wandb_server import PROBE_S, server_name, why_unreachable
from gptexp.tracking.housekeeping import list_run_dirs
from gptexp.tracking.leftovers import tidy_run
from gptexp.tracking.run_dir import RunDir


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
    if mirror and mirror.has_all_of(run_dir.read_sound_result()) and not again:
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
    tracker = WandbTracker("online", patience_s=patience_s, warn=note)
    members = run_dir.read_members()
    replay(run_dir, content, members[0] if members else {}, result, FanOut([tracker], note))
    mirror = run_dir.read_mirror()
    if problems or mirror is None or not mirror.has_all_of(result):
        return Sent(run_id, "left out", "; ".join(problems) or "the server did not take all of it")
    return Sent(run_id, "sent", url=mirror.url)


def list_ended(runs_dir: Path) -> list[RunDir]:
    """The run folders that hold a result, by run id."""
    return [run_dir for run_dir in list_run_dirs(runs_dir) if exists(run_dir.path / "result.json", run_dir.within)]
