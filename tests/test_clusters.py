"""The commands of docs/clusters.md, as they stand."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gptexp.tracking.housekeeping import list_run_dirs
from gptexp.tracking.verify import verify_run
from tests.studies.processes import await_none

PAGE = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S)
    for line in block.splitlines()
    if not line.startswith("pip ")
]
ENGINES = {"slurm": "submitit", "ray": "ray"}
"""Launcher -> the package that it needs."""
PROGRAMS = {"gptexp": ["-m", "gptexp"], "torchrun": ["-m", "torch.distributed.run"]}


def test_the_page_has_a_command_for_each_way() -> None:
    """One of each: processes, torchrun, jobs, Slurm, Ray."""
    for words in ("--processes-per-run", "torchrun", "--jobs", "--launcher slurm", "--launcher ray"):
        assert [command for command in COMMANDS if words in command], words


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_it_does_what_it_says(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 0, sound runs that are done, and no process left."""
    for launcher, package in ENGINES.items():
        if f"--launcher {launcher}" in command and importlib.util.find_spec(package) is None:
            pytest.skip(f'needs {package}: pip install "gptexp[{launcher}]"')
    monkeypatch.setenv("GPTEXP_TEST_MARK", str(tmp_path))
    program, *words = shlex.split(command)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, *PROGRAMS[program], *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    runs = list_run_dirs(tmp_path / "runs")
    assert runs
    assert [verify_run(run).word for run in runs] == ["sound"] * len(runs)
    assert all(run.is_done() for run in runs)
    assert await_none(str(tmp_path)) in ([], [os.getpid()])
