"""Sweep files for the tests: tiny runs, searched in different ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gptexp.cli.train import read_train_words
from gptexp.studies.sweep.file import SweepFile, parse_sweep
from gptexp.studies.sweep.trial import Sweep, plan_sweep
from tests.studies.tiny import TINY

LR = {"values": [1e-4, 1e-3, 1e-2]}


def make_content(**changes: Any) -> dict[str, Any]:
    """A sweep file over lr × schedule of the tiny config; `parameters` in `changes` are added to it."""
    base = {name: {"value": value} for name, value in TINY.items() if name != "lr"}
    searched = changes.pop("parameters", {"lr": LR, "schedule": {"values": ["constant", "warmup-cosine"]}})
    content = {"name": "tiny", "method": "grid", "metric": {"name": "val_loss", "goal": "minimize"}}
    return {**content, **changes, "parameters": {**base, **searched}}


def parse(content: dict[str, Any]) -> SweepFile:
    """A sweep file's content, its command read as the command line reads it."""
    return parse_sweep(content, read_train_words)


def make_sweep(runs_dir: Path, corpus: Path, trials: int | None = None, **changes: Any) -> Sweep:
    """That file as `gptexp sweep` plans it."""
    return plan_sweep(parse(make_content(**changes)), "quick", str(corpus), runs_dir, trials, "quick")


def write_file(path: Path, **changes: Any) -> Path:
    """That file on the disk; JSON is YAML."""
    path.write_text(json.dumps(make_content(**changes)))
    return path
