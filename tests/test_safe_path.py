"""No process of gptexp takes its modules from the folder that one stands in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest

from gptexp.processes import SAFE_PATH, Processes, SafeSpawnContext, safe_path
from gptexp.studies.launchers import JobContext, JobEnd, LocalLauncher

NAMES = [
    "signal",
    "socket",
    "threading",
    "types",
    "struct",
    "pickle",
    "re",
    "enum",
    "functools",
    "operator",
    "selectors",
    "subprocess",
    "json",
    "typing",
    "random",
    "tempfile",
    "click",
    "torch",
    "numpy",
    "filelock",
]


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory full of files that have the names of modules; each leaves its name in the marker."""
    folder = tmp_path / "here"
    folder.mkdir()
    marker = tmp_path / "imported"
    for name in NAMES:
        (folder / f"{name}.py").write_text(
            f"open({str(marker)!r}, 'a').write('{name} ')\nraise ImportError('{name}')\n"
        )
    monkeypatch.chdir(folder)
    monkeypatch.delenv(SAFE_PATH, raising=False)
    yield marker
    assert not marker.exists(), marker.read_text()


def echo(job: Any, _: JobContext) -> Any:
    return job, os.environ.get(SAFE_PATH)


def test_workers(marker: Path) -> None:
    """A worker starts, and what it starts itself is safe too; this process's own environment stays as it was."""
    (end,) = [news for news in LocalLauncher(1).launch(echo, [1]) if isinstance(news, JobEnd)]
    assert (end.error, end.result) == (None, (1, "1"))
    assert SAFE_PATH not in os.environ


def test_processes_of_a_report(marker: Path) -> None:
    """The processes that read records and draw figures."""
    with Processes(2, wake=os.getpid) as processes:
        assert processes.map(len, ["a", "bb", "ccc"]) == [1, 2, 3]
        assert processes.pool is not None


def test_the_tracker_of_locks_and_pipes(marker: Path) -> None:
    """Python's resource tracker, which starts with the first lock: it is a process of its own."""
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
    context = SafeSpawnContext()
    context.Lock()
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


def test_a_setting_of_ones_own_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood in the environment stands there afterwards."""
    monkeypatch.setenv(SAFE_PATH, "yes")
    with safe_path():
        assert os.environ[SAFE_PATH] == "1"
    assert os.environ[SAFE_PATH] == "yes"


def test_python_m_gptexp(marker: Path) -> None:
    """`python -m gptexp` takes the same modules as `gptexp`: it works beside files with the names of modules."""
    for name in ("json", "typing", "re", "enum", "types", "functools", "operator"):
        # Python itself imports these on its way to any module, before gptexp can do anything.
        Path(f"{name}.py").unlink()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "gptexp", "studies", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
