"""Weights & Biases as it was asked for: its mode, its patience, and which runs it is told of again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gptexp.mirrors.protocol import BackgroundTracker, TrackerSettings
from gptexp.mirrors.wandb import Mode, WandbTracker, choose_mode
from gptexp.mirrors.wandb_folder import has_offline_mirror
from gptexp.mirrors.wandb_server import PROBE_S, advise_sync, inside_sweep, why_unreachable
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir

PATIENCE_S = 60.0
"""How long a finished run waits for its W&B mirror before it goes on without."""


@dataclass(frozen=True)
class WandbSettings(TrackerSettings):
    """How the runs of a command are mirrored to W&B."""

    mode: Mode
    """online or offline."""
    log_checkpoint: bool = False
    """Whether the last weights of a completed run go there too."""

    @property
    def wants_every_run(self) -> bool:
        """In a sweep each trial is a W&B run of its own: it wants the history even where nothing is left to train."""
        return inside_sweep()

    def find_lacking(self, over: Mapping[str, RunDir], noted: Collection[str]) -> frozenset[str]:
        """In a sweep all of them. Else those that a study asks for anew, which a report from W&B would miss there, and
        what was made without a mirror."""
        if inside_sweep():
            return frozenset(over)
        ended = {run_id: (run_dir, result) for run_id, run_dir in over.items() if (result := run_dir.read_result())}
        return frozenset(noted) | find_unsent(ended, self.mode)

    def build(self, run_dir: str, warn: Callable[[str], None]) -> BackgroundTracker:
        """The mirror of one run, in a thread of its own."""
        mirror = WandbTracker(self.mode, patience_s=PATIENCE_S, warn=warn, log_checkpoint=self.log_checkpoint)
        return BackgroundTracker(mirror, patience_s=mirror.choose_patience, late=advise_sync(run_dir))


def choose_settings(options: Mapping[str, Any]) -> WandbSettings | None:
    """What `--wandb` and `--log-checkpoint` ask for; None where W&B is disabled.

    Raises:
        GptexpError: online was asked for and nobody is logged in, or an unknown mode.
    """
    mode = choose_mode(options.get("wandb_mode"))
    return None if mode == "disabled" else WandbSettings(mode, bool(options.get("log_checkpoint")))


def find_unsent(ended: Mapping[str, tuple[RunDir, Result]], mode: Mode) -> frozenset[str]:
    """The ids of runs that are over and that W&B, or what is kept here for it, lacks or has in part.

    Online, that is every run that W&B is not known to have whole. Offline, and where the server is out of reach, it is
    every run that was never sent and that no offline mirror holds: there is one, and it is not made twice.
    """
    places = {run_id: run_dir.read_mirror() for run_id, (run_dir, _) in ended.items()}
    unsent = frozenset(
        run_id for run_id, place in places.items() if place is None or not place.has_all_of(ended[run_id][1])
    )
    if not unsent:
        return frozenset()
    if mode == "online" and why_unreachable(PROBE_S) is None:
        return unsent
    return frozenset(run_id for run_id in unsent if not (places[run_id] or has_offline_mirror(*ended[run_id])))
