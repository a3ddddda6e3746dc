"""The smallest runs that still do everything: what most tests of the engine train."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gptexp.config import build_config
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.resolve import resolve_run
from gptexp.tracking.result import Result

SMALLEST: dict[str, Any] = {
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 16,
    "block_size": 16,
    "batch_size": 2,
    "eval_steps": 1,
    "sample_tokens": 3,
}
"""For whole commands, of which only the way is tested."""
TINY: dict[str, Any] = {
    "n_layer": 2,
    "n_head": 2,
    "n_embd": 32,
    "block_size": 16,
    "batch_size": 4,
    "max_steps": 12,
    "eval_interval": 4,
    "eval_steps": 2,
    "final_eval": "subset",
    "sample_interval": 5,
    "sample_tokens": 4,
    "checkpoint_interval": 3,
    "tokenizer": "char",
    "lr": 3e-3,
}


def write_corpus(path: Path) -> None:
    """A text of 400 lines, for fixtures that are wider than one test."""
    path.write_text("".join(f"Ada counts {n} and Bo draws {n * 7 % 13} hills.\n" for n in range(400)))


def has_compiler() -> bool:
    """Whether torch.compile finds what it needs on a CPU."""
    return shutil.which("g++") is not None


needs_compiler = pytest.mark.skipif(not has_compiler(), reason="torch.compile needs a C++ compiler")
TIMES = ("step_time_s", "tokens_per_sec")
"""Fields of a step record that differ between two equal runs."""


def make_job(runs_dir: Path, corpus: Path, **changes: Any) -> Job:
    """A job for the tiny config with `changes`."""
    run = resolve_run(build_config({**TINY, **changes}), str(corpus))
    return Job(run, str(runs_dir / run.run_id), str(corpus), "gptexp test", {})


def run_tiny(runs_dir: Path, corpus: Path, **changes: Any) -> tuple[Result, list[dict[str, Any]]]:
    """Train it; returns the result and the records without times."""
    job = make_job(runs_dir, corpus, **changes)
    result = execute(job, [], lambda: False, lambda message: None)
    return result, read_untimed(Path(job.run_dir))


def read_untimed(run_dir: Path) -> list[dict[str, Any]]:
    """The records of a run without what differs between two equal runs."""
    lines = (run_dir / "records.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]
