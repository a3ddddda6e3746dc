"""What every test may use: a small corpus, and an environment without the user's cache and W&B account."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gptexp.registry import Registry

REGISTRIES = ("gptexp.names", "gptexp.training.metrics", "gptexp.measures.catalog", "gptexp.report.exhibits")
"""The modules that look things up by name."""
LONGEST = (
    "wandb/test_outage.py",
    "wandb/test_sweep_agents.py",
    "faults/test_kills.py",
    "cli/test_sweep.py",
    "test_commands.py",
    "bench/test_bench.py",
    "wandb_reading/test_same_report.py",
    "faults/test_killed_study.py",
    "wandb/test_online.py",
    "wandb/test_readme.py",
    "studies/test_execute.py",
    "browser/test_pages.py",
    "browser/test_pieces.py",
    "wandb/test_report_run.py",
    "report/test_lesson.py",
)
"""Files whose tests take half a minute or more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins: where several processes share the files, each has something short left at the end."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def isolated_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches go to a temporary folder and nothing reaches W&B. Per session, so that wide fixtures are isolated too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPTEXP_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("WANDB_API_KEY", raising=False)
        patch.setenv("WANDB_MODE", "disabled")
        yield


@pytest.fixture(autouse=True)
def names_are_looked_up_again() -> Iterator[None]:
    """What a test finds by a name may be its own, or of a package that it installed; the next test must not get it."""
    yield
    for module in map(sys.modules.get, REGISTRIES):
        for registry in vars(module).values() if module else ():
            if isinstance(registry, Registry):
                registry._found.clear()


@pytest.fixture
def tiny_corpus(tmp_path: Path) -> Path:
    """A text file of some 20 kB whose lines differ, so that there is something to learn and to hold out."""
    names, verbs, things = ("Ada", "Bo", "Cleo", "Dan", "Eve"), ("sees", "draws", "sings of"), ("a hill", "the sea")
    lines = [
        f"{names[n % 5]} {verbs[n * n % 3]} {things[n // 3 % 2]}, and {names[n * 7 % 4]} counts {n}.\n"
        for n in range(520)
    ]
    path = tmp_path / "tiny.txt"
    path.write_text("".join(lines), encoding="utf-8")
    return path
