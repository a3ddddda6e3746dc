"""Killed at any call that changes the disk, or cut off from power after it, no command loses anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="follows descriptors through /proc")


def run_program(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_kills_at_every_kind_of_call(capsys: pytest.CaptureFixture[str]) -> None:
    """A sample of all kills (`python -m tests.faults.every_call` takes every one): counted, and nothing is lost."""
    out = run_program("tests.faults.every_call", "--every", "17")
    lines = out.splitlines()
    assert lines[-1].endswith("kills, nothing lost")
    names = {"run", "run resumed", "run until a step", "run in parts", "rm", "gc", "gc --weights", "pack", "report"}
    names |= {"sync", "sweep"}
    assert {line.partition(":")[0] for line in lines[:-1]} == names
    with capsys.disabled():
        print(f"\n{out}")


@pytest.mark.slow
def test_power_cuts(capsys: pytest.CaptureFixture[str]) -> None:
    """A sample of all states (`python -m tests.faults.every_power_cut` takes every one) without what was not synced."""
    out = run_program("tests.faults.every_power_cut", "--every", "31", "--again", "5")
    assert len(out.splitlines()) == 6
    with capsys.disabled():
        print(f"\n{out}")
