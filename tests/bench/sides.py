"""Contestants of the tiny config, in the test's own process."""

from __future__ import annotations

from gptexp.bench.contestant import Contestant, Side
from gptexp.config import build_config
from gptexp.studies.resolve import resolve_run
from tests.studies.tiny import TINY


def make_contestant(name: str, corpus: str) -> Contestant:
    """`reference`, or gptexp's own loop; ready for its first step."""
    run = resolve_run(build_config({**TINY, "max_steps": 100, "precision": "fp32", "device": "cpu"}), corpus)
    return Contestant(Side(name, name == "reference", run.config, corpus, run.content))
