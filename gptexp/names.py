"""What is chosen by name: optimizers, schedules, corpora, trackers, launchers. Nothing of it is imported here.

A new one of ours is a file and a line here. Other packages bring theirs as entry points of the same groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gptexp.errors import GptexpError
from gptexp.registry import Registry

if TYPE_CHECKING:
    from gptexp.data.corpus import Corpus
    from gptexp.mirrors.protocol import TrackerSettings
    from gptexp.studies.launchers import Launcher
    from gptexp.training.optimizer import BuildOptimizer
    from gptexp.training.schedule import Schedule

OPTIMIZERS: Registry[BuildOptimizer] = Registry(
    "optimizer",
    "gptexp.optimizers",
    {
        "adamw": "gptexp.training.optimizers.adamw:AdamW",
        "adam": "gptexp.training.optimizers.adam:Adam",
        "sgd": "gptexp.training.optimizers.sgd:SGD",
        "muon": "gptexp.training.optimizers.muon:Muon",
    },
)
"""(model, config) -> an optimizer of the model's parameters."""

SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    "gptexp.schedules",
    {
        "constant": "gptexp.training.schedule:CONSTANT",
        "warmup-constant": "gptexp.training.schedule:WARMUP_CONSTANT",
        "warmup-cosine": "gptexp.training.schedule:WARMUP_DECAY",
        "warmup-linear": "gptexp.training.schedule:WARMUP_DECAY",
        "wsd": "gptexp.training.schedule:WSD",
        "wsd-sqrt": "gptexp.training.schedule:WSD",
    },
    is_factory=False,
)
"""A `Schedule`: the learning rate of every step, and which settings it reads."""

CORPORA: Registry[Callable[[], Corpus]] = Registry(
    "corpus",
    "gptexp.corpora",
    {
        "tinyshakespeare": "gptexp.data.corpus:load_tinyshakespeare",
        "python-docs": "gptexp.data.corpus:load_python_docs",
    },
)
"""() -> a `Corpus`, by `gptexp.data.corpus.make_corpus`. Its checksum is checked where the text comes from elsewhere; a
GptexpError says why it can't be had."""

TRACKERS: Registry[Callable[[Mapping[str, Any]], TrackerSettings | None]] = Registry(
    "tracker",
    "gptexp.trackers",
    {
        "wandb": "gptexp.mirrors.wandb_settings:choose_settings",
        "trackio": "gptexp.mirrors.trackio:choose_settings",
    },
)
"""The command line's options -> a tracker's settings, or None where they switch it off."""

LAUNCHERS: Registry[Callable[..., Launcher]] = Registry(
    "launcher",
    "gptexp.launchers",
    {
        "local": "gptexp.studies.launchers:LocalLauncher",
        "slurm": "gptexp.studies.slurm:SlurmLauncher",
        "ray": "gptexp.studies.ray:RayLauncher",
    },
)
"""(The number of jobs at once, settings of its own by keyword) -> what carries them out."""


def list_needs(schedule: str) -> tuple[str, ...]:
    """Which of warmup_steps, min_lr and decay_steps a schedule reads.

    A schedule of a recorded run whose package isn't installed here is taken to decay.
    """
    try:
        return SCHEDULES.find(schedule).needs
    except GptexpError:
        return ("min_lr",)
